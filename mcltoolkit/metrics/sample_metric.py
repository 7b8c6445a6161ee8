"""What the metrics share: one plain entry a sample, averaged at the end.

mmengine collects the entries of all ranks, puts them back into data-set order and cuts off the
samples that padding repeated. That only works if every sample leaves exactly one entry, also one
that the metric does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from torch import Tensor

from mcltoolkit.structures import Match, Prediction


class SampleMetric(BaseMetric):
    """Base of metrics that are means over samples of numbers measured on each.

    Keys carry no prefix unless one is given.
    """

    # mmengine warns about a prefix of None, and puts none before the keys for an empty one.
    default_prefix = ""

    def measure(self, samples: Sequence[Prediction]) -> list[dict[str, float]]:
        """Values by key for each sample of a batch; {} for a sample that does not count."""
        raise NotImplementedError

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Measure one batch of `Prediction`s."""
        self.results.extend(self.measure(data_samples))

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Mean of each key over the samples that have it; keys that no sample has are left out."""
        values: dict[str, list[float]] = {}
        for entry in results:
            for key, value in entry.items():
                values.setdefault(key, []).append(value)
        return {key: sum(found) / len(found) for key, found in values.items()}


def measure_matches(
    samples: Sequence[Prediction], keys: Sequence[str], measure: Callable[[Match], Sequence[Tensor]]
) -> list[dict[str, float]]:
    """Values of each sample's match, measured once for a match that samples share.

    Args:
        keys: names of the values.
        measure: match -> one tensor (B,) a key.
    """
    measured: dict[int, list[list[float]]] = {}
    entries = []
    for sample in samples:
        if id(sample.match) not in measured:
            measured[id(sample.match)] = [t.tolist() for t in measure(sample.match)]
        columns = measured[id(sample.match)]
        entries.append(
            {key: column[sample.index] for key, column in zip(keys, columns, strict=True)}
        )
    return entries
