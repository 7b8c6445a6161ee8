"""At which size a translation runs, and the padding that brings any size to the networks' stride.

Pictures and label maps are padded at the bottom and on the right by repeating their last row and
column, which adds no edge and no class that was not there, and the output is cut back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcltoolkit.errors import ConfigError, DataError

Size = tuple[int, int]
OWN = "own"


def choose_size(
    wanted: Sequence[int] | str | None, condition: np.ndarray, test_size: Sequence[int] | None
) -> tuple[Size, str]:
    """The (height, width) at which to translate, and why, in words.

    The wanted size; else that of maps, which are never resized; else the condition's own where it
    does not exceed the size at which the model is tested; else the test size.

    Args:
        wanted: (height, width), `own` for the condition's own size however large, or None.
        condition: labels (H, W) or maps (C, H, W).
        test_size: (height, width) of the test pictures, or None where the config fixes none.

    Raises:
        ConfigError: no such size.
        DataError: maps of another size than the wanted one.
    """
    own: Size = (condition.shape[-2], condition.shape[-1])
    asked = check_size(wanted)
    if condition.ndim == 3:
        if isinstance(asked, tuple) and asked != own:
            raise DataError(
                f"--size {asked[0]} {asked[1]} with a condition of {own[0]} x {own[1]} numbers: "
                f"such maps are not resized; leave --size out, or make the maps in that size"
            )
        return own, "size of the condition's maps, which are not resized"
    if isinstance(asked, tuple):
        return asked, "the size asked for"
    if asked == OWN:
        return own, "own size of the condition, as asked for"
    if test_size is None:
        return own, "own size of the condition; the checkpoint's config fixes no test size"
    tall, wide = int(test_size[0]), int(test_size[1])
    if own[0] > tall or own[1] > wide:
        return (tall, wide), (
            f"the model's test size, since the condition's own {own[0]}x{own[1]} is larger; give "
            f"--size own for that"
        )
    why = "own size of the condition"
    if (tall, wide) != own:
        why += f"; the model's test size is {tall}x{wide}, give --size {tall} {wide} for that"
    return own, why


def check_size(wanted: Sequence[int] | str | None) -> Size | str | None:
    """`wanted` itself, as a tuple where it is two numbers.

    Raises:
        ConfigError: it is neither two whole numbers >= 1, nor `own`, nor None.
    """
    if wanted is None or wanted == OWN:
        return None if wanted is None else OWN
    numbers = () if isinstance(wanted, str) else tuple(wanted)
    if len(numbers) != 2 or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in numbers
    ):
        raise ConfigError(
            f"size is {wanted!r}; allowed are height and width, whole numbers >= 1, or own for the "
            f"condition's own size"
        )
    return int(numbers[0]), int(numbers[1])


def padded_size(size: Size, stride: int) -> Size:
    """The least multiples of `stride` that hold `size`."""
    return -(-size[0] // stride) * stride, -(-size[1] // stride) * stride


def pad_edge(array: np.ndarray, size: Size) -> np.ndarray:
    """(H, W) or (H, W, 3) at a larger size, its last row and column repeated."""
    missing = [(0, size[0] - array.shape[0]), (0, size[1] - array.shape[1])]
    if missing == [(0, 0), (0, 0)]:
        return array
    return np.pad(array, missing + [(0, 0)] * (array.ndim - 2), mode="edge")
