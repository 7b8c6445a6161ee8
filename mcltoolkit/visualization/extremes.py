"""Which samples of a test deserve a look: the best, those in the middle, and the worst."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mcltoolkit.errors import ConfigError
from mcltoolkit.structures import Prediction

Key = TypeVar("Key")
RANKED_BY = {"psnr": "PSNR of the output", "label_accuracy": "label transfer"}
"""Values that samples are ranked by, the first that is known; in both higher is better."""
EACH = 2


@dataclass(frozen=True)
class Extremes(Generic[Key]):
    """Samples of three groups.

    Attributes:
        by: the value that they were ranked by; empty where no sample has one.
        ranked: how many samples have it.
        groups: sample keys of `best` (best first), `median` and `worst` (worst first).
    """

    by: str = ""
    ranked: int = 0
    groups: Mapping[str, list[Key]] = field(default_factory=dict)


def choose_extremes(values: Mapping[Key, Mapping[str, float]], each: int = EACH) -> Extremes[Key]:
    """Rank samples by PSNR where some have it (those with a truth), else by label accuracy.

    Args:
        values: metric values of each sample, in data-set order, which decides between equals.
        each: samples of a group; fewer where there are not enough for three groups.
    """
    for by in RANKED_BY:
        known = {key: v[by] for key, v in values.items() if math.isfinite(v.get(by, math.nan))}
        if known:
            break
    else:
        return Extremes()
    order = sorted(known, key=lambda key: -known[key])
    count = len(order)
    size = max(1, min(each, count // 3))
    groups = {"best": order[:size]}
    if count > 1:
        groups["worst"] = order[::-1][:size]
    if count > 2:
        start = (count - size) // 2
        groups["median"] = order[start : start + size]
    return Extremes(by, count, {k: groups[k] for k in ("best", "median", "worst") if k in groups})


def check_samples(samples: int) -> int:
    """The number of samples to show, itself.

    Raises:
        ConfigError: less than 1.
    """
    if samples < 1:
        raise ConfigError(
            f"samples is {samples}; allowed are integers >= 1: a page or grid shows at least one"
        )
    return samples


@dataclass(frozen=True)
class Shown:
    """A sample of a report.

    Attributes:
        prediction: what was made of it.
        values: its metric values.
        groups: why it is shown: `first` of the data set, `best`, `median`, `worst`.
        index: its place in the data set; None where that is not known.
    """

    prediction: Prediction
    values: Mapping[str, float] = field(default_factory=dict)
    groups: tuple[str, ...] = ("first",)
    index: int | None = None
