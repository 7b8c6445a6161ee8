"""The size at which a network sees an image."""

from __future__ import annotations

from typing import Any

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import check_divisible

Size = tuple[int, int]
NEAREST = "nearest"


def read_size(img_size: Any) -> Size | str | None:
    """The setting `img_size` checked: None, 'nearest' or (H, W).

    Raises:
        ConfigError: it is something else.
    """
    if img_size is None or img_size == NEAREST:
        return img_size
    sides = (img_size, img_size) if isinstance(img_size, int) else img_size
    if (
        isinstance(sides, tuple | list)
        and len(sides) == 2
        and all(isinstance(side, int) and side > 0 for side in sides)
    ):
        return sides[0], sides[1]
    raise ConfigError(
        f"TimmEncoder.img_size is {img_size!r}; allowed are None (the image as it is), 'nearest', "
        f"a number of pixels, or (height, width)"
    )


def seen_size(image: Size, setting: Size | str | None, multiple: int, fixed: Size | None) -> Size:
    """(H, W) at which the network sees an image of size `image`.

    Args:
        image: (H, W).
        setting: from `read_size`.
        multiple: what both sides must be multiples of.
        fixed: the only size that the network takes, or None.

    Raises:
        ConfigError: the network does not take it.
    """
    if setting == NEAREST and fixed is not None:
        return fixed
    if setting == NEAREST:
        height, width = (max(round(side / multiple), 1) * multiple for side in image)
        return height, width
    size = image if setting is None else (int(setting[0]), int(setting[1]))
    if fixed is not None and size != fixed:
        raise ConfigError(
            f"TimmEncoder's network takes {fixed[0]}x{fixed[1]} images only (height x width), "
            f"found {size[0]}x{size[1]}; set img_size to the size of the images to build it for "
            f"that, or to ({fixed[0]}, {fixed[1]}) to resize them"
        )
    if fixed is None:
        try:
            check_divisible(*size, multiple, "TimmEncoder's network")
        except ConfigError as error:
            raise ConfigError(
                f"{error}; or set img_size='nearest' to resize what the network sees, or leave "
                f"coarser layers out by `layers`"
            ) from error
    return size
