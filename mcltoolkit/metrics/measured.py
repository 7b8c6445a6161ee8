"""What the metrics share: one plain entry a sample, values by sample, and a passport.

mmengine collects the entries of all ranks, puts them back into data-set order and cuts off the
samples that padding repeated. That only works if every sample leaves exactly one entry, also one
that the metric does not count. What was measured, under which sample's name and at which size
travels in that entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from mcltoolkit.structures import Prediction

TENSORS = "none: tensors of the network"
"""`file_format` of images that no file held."""


class MeasuredMetric(BaseMetric):
    """Base of the toolkit's metrics.

    A subclass gives `measure` and `reduce`, and tells in `protocols` or `passport` how its values
    are defined. Keys carry no prefix unless one is given. After `evaluate`, on the main process:

    Attributes:
        samples: number of samples.
        facts: what the samples share, such as `image_size`; values that differ are joined by a
            comma.
        per_sample: values by key of each sample, by its name; `NAME#2` is the second sample of
            that name, see `unique_names`.
        data: what the passport tells of the data set; empty where nobody said it.
    """

    # mmengine warns about a prefix of None, and puts none before the keys for an empty one.
    default_prefix = ""
    protocols: Mapping[str, str] = {}
    """Name and version of the definition, by key."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.data = ""
        self._forget()

    def _forget(self) -> None:
        self.samples = 0
        self.facts: dict[str, str] = {}
        self.per_sample: dict[str, dict[str, float]] = {}
        self.counts: dict[str, int] = {}

    def measure(self, samples: Sequence[Prediction]) -> list[Any]:
        """One entry for each sample of a batch: plain values or NumPy arrays."""
        raise NotImplementedError

    def reduce(self, entries: list[Any]) -> dict[str, float]:
        """Values by key from the entries of the whole data set."""
        raise NotImplementedError

    def values_of(self, entry: Any) -> dict[str, float]:
        """Values by key of a sample alone, {} where a sample alone has none."""
        return {}

    def facts_of(self, sample: Prediction) -> dict[str, str]:
        """What the passport tells of the samples."""
        file_format = getattr(sample, "file_format", TENSORS)
        return {"image_size": size_of(sample.fake), "file_format": file_format}

    def passport(self, key: str = "") -> dict[str, Any]:
        """How a value was made.

        Args:
            key: the value's name without prefix; the metric's first one by default.
        """
        keys = list(self.counts or self.protocols)
        key = key or (keys[0] if keys else "")
        return {
            "protocol": self.protocols.get(key, type(self).__name__),
            "samples": self.counts.get(key, self.samples),
            **self.facts,
            **({"data": self.data} if self.data else {}),
        }

    def passports(self) -> dict[str, dict[str, Any]]:
        """Passports of all values of the last evaluation, by name with prefix."""
        start = f"{self.prefix}/" if self.prefix else ""
        return {f"{start}{key}": self.passport(key) for key in self.counts}

    def check_size(self, size: int) -> None:
        """Refuse a data set of that many samples; called on all ranks alike, before anything is
        measured and again at the end.

        Raises:
            DataError: the metric cannot be measured of so many.
        """

    def release(self) -> None:
        """Free what was kept between batches; called on all ranks."""

    def evaluate(self, size: int) -> dict[str, float]:
        """Values by name, on all ranks.

        Args:
            size: samples of the data set, without those that padding repeats.
        """
        self.release()
        try:
            self.check_size(size)
            return super().evaluate(size)
        finally:
            self.results.clear()

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Measure one batch of `Prediction`s."""
        entries = self.measure(data_samples)
        for sample, entry in zip(data_samples, entries, strict=True):
            facts = self.facts_of(sample)
            self.results.append({"name": sample.name, "facts": facts, "entry": entry})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Values of the data set; keeps what the passport tells."""
        self._forget()
        self.samples = len(results)
        told: dict[str, set[str]] = {}
        counted: Counter[str] = Counter()
        names = unique_names([result["name"] for result in results])
        for name, result in zip(names, results, strict=True):
            for fact, value in result["facts"].items():
                told.setdefault(fact, set()).add(value)
            values = self.values_of(result["entry"])
            counted.update(values.keys())
            if values:
                self.per_sample[name] = values
        self.facts = {fact: ", ".join(sorted(values)) for fact, values in sorted(told.items())}
        found = self.reduce([result["entry"] for result in results])
        self.counts = {key: counted.get(key, self.samples) for key in found}
        return found


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of which no two are equal: `NAME#2` for the second sample called NAME, or the next
    number of which no sample has the name already."""
    taken, numbers = {*names}, Counter[str]()
    found = []
    for name in names:
        numbers[name] += 1
        unique = name
        while numbers[name] > 1 and unique in taken:
            unique = f"{name}#{numbers[name]}"
            numbers[name] += unique in taken
        taken.add(unique)
        found.append(unique)
    return found


def size_of(image: Any) -> str:
    """`HEIGHTxWIDTH` of a (C, H, W) image, or of an (h, w) grid given as a tuple."""
    height, width = image if isinstance(image, tuple) else image.shape[-2:]
    return f"{height}x{width}"
