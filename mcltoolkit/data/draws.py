"""Stateless randomness: one draw of a sample owns one random generator.

Nothing random survives between two samples, so a resumed training repeats exactly what an
uninterrupted one would have seen, whatever the number of loader workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcltoolkit.errors import ConfigError


@dataclass(frozen=True)
class Draw:
    """What a training sampler yields; data sets outside the toolkit may use it as a plain index.

    Attributes:
        index: place of the sample in the data set.
        number: how many draws the whole training made before this one, over all ranks.
    """

    index: int
    number: int

    def __index__(self) -> int:
        return self.index


def check_seed(seed: int) -> int:
    """`seed` itself.

    Raises:
        ConfigError: the seed is negative, which numpy's generators do not take.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; allowed are integers >= 0; set another `seed`")
    return seed


def resolve_draw(
    item: int | Draw, length: int, *entropy: int
) -> tuple[int, int | None, np.random.Generator]:
    """Index, draw number and generator of one sample.

    Args:
        item: a plain index gives the same sample whenever it is asked for (negative ones count
            from the end); a `Draw` gives a new one for each number.
        length: length of the data set.
        entropy: seed and whatever else tells this data set's stream from others.

    Raises:
        IndexError: the index lies outside the data set.
    """
    index, number = (item.index, item.number) if isinstance(item, Draw) else (int(item), None)
    if not -length <= index < length:
        raise IndexError(f"index {index} is outside a data set of {length} samples")
    index %= length
    # numpy pads its entropy with zeros, so the number counts from 1: (index, 0) must differ
    # from the plain index.
    tail = () if number is None else (number + 1,)
    return index, number, np.random.default_rng([*entropy, index, *tail])
