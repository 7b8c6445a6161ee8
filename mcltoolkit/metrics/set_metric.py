"""Metrics of two sets of images: each image is described alone, and the sets are compared at the
end, so that they need no pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcltoolkit.metrics.measured import MeasuredMetric
from mcltoolkit.structures import Prediction


class SetMetric(MeasuredMetric):
    """Base of metrics of outputs against the samples' truths, or of any two sets."""

    def describe(self, samples: Sequence[Prediction], role: str) -> list[Any]:
        """What is kept of each sample's image of a role; see `SharedNetwork.of`."""
        raise NotImplementedError

    def compare(self, first: list[Any], second: list[Any]) -> dict[str, float]:
        """Values by key of two sets of descriptions."""
        raise NotImplementedError

    def check_sets(self, first: int, second: int) -> None:
        """Refuse sets of so many images, before they are read.

        Raises:
            DataError: the metric cannot be measured of them.
        """
        self.check_size(min(first, second))

    def measure(self, samples: Sequence[Prediction]) -> list[tuple[Any, Any]]:
        """Descriptions of each sample's output and truth."""
        sides = [self.describe(samples, role) for role in ("fake", "truth")]
        return list(zip(*sides, strict=True))

    def reduce(self, entries: list[tuple[Any, Any]]) -> dict[str, float]:
        """Values of outputs against truths."""
        return self.compare([fake for fake, _ in entries], [truth for _, truth in entries])

    def compare_sets(
        self, first: list[Any], second: list[Any], facts: Mapping[str, str]
    ) -> dict[str, float]:
        """As `compare`, for sets that no evaluation collected; the passport tells of them.

        Args:
            first, second: descriptions of outputs and of real images.
            facts: what the passport tells of the images.
        """
        found = self.compare(first, second)
        self.samples, self.facts = len(first), dict(facts)
        self.counts = dict.fromkeys(found, len(first))
        return found
