"""Metrics that are means over samples of numbers measured on each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from mcltoolkit.errors import DataError
from mcltoolkit.metrics.coarsened import coarsened, stride_of
from mcltoolkit.metrics.measured import MeasuredMetric, size_of
from mcltoolkit.structures import Match, Prediction


class SampleMetric(MeasuredMetric):
    """Base of metrics that are means over samples of numbers measured on each."""

    def measure(self, samples: Sequence[Prediction]) -> list[dict[str, float]]:
        """Values by key for each sample of a batch; {} for a sample that does not count."""
        raise NotImplementedError

    def values_of(self, entry: dict[str, float]) -> dict[str, float]:
        """The entry itself."""
        return entry

    def reduce(self, entries: list[Any]) -> dict[str, float]:
        """Mean of each key over the samples that have it; keys that no sample has are left out."""
        values: dict[str, list[float]] = {}
        for entry in entries:
            for key, value in entry.items():
                values.setdefault(key, []).append(value)
        return {key: sum(found) / len(found) for key, found in values.items()}


def match_facts(sample: Prediction) -> dict[str, str]:
    """What the passport of a metric of the match tells: the two grids, and the blocks of cells on
    which a large match is measured."""
    match = sample.match
    return {
        "grid": size_of(match.grid),
        "exemplar_grid": size_of(match.exemplar_grid),
        "measured_blocks": str(stride_of(coarsened(match))),
    }


def measure_matches(
    samples: Sequence[Prediction], keys: Sequence[str], measure: Callable[[Match], Sequence[Tensor]]
) -> list[dict[str, float]]:
    """Values of each sample's match, measured once for a match that samples share.

    Args:
        keys: names of the values.
        measure: match -> one tensor (B,) a key.

    Raises:
        DataError: a value is not finite; names the sample.
    """
    measured: dict[int, list[list[float]]] = {}
    entries = []
    for sample in samples:
        if id(sample.match) not in measured:
            measured[id(sample.match)] = [t.tolist() for t in measure(sample.match)]
        values = [column[sample.index] for column in measured[id(sample.match)]]
        if not all(map(math.isfinite, values)):
            raise broken_match(sample.name)
        entries.append(dict(zip(keys, values, strict=True)))
    return entries


def broken_match(name: str) -> DataError:
    """The error of a sample whose match holds NaN or infinite weights."""
    return DataError(
        f"the match of {name!r} holds NaN or infinite weights, which no metric can measure; look "
        f"for the cause in the training's losses, or use an earlier checkpoint"
    )
