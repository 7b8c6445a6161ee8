"""The samples of a test by their place in the data set, whatever rank had them.

A test set may be too large to keep its pictures until its best and worst samples are known. What
the loader asked for and the names that came are kept instead; once all values are there, the chosen
samples are translated again. All ranks take part, since a sharded model needs them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from mmengine.runner import Runner

from mcltoolkit.engine.agreement import of_all_ranks
from mcltoolkit.metrics.measured import unique_names
from mcltoolkit.structures import Prediction

ROUNDING = {"psnr": 0.05, "label_accuracy": 0.02}
"""How far a value of a sample may move when it is translated again, in a batch of its own: in dB,
and as a share of the places."""


@dataclass(frozen=True)
class DrawnSample:
    """A sample of a test.

    Attributes:
        item: what the data set was asked for: an index, or a `Draw` of one.
        name, exemplar: of the condition and of the exemplar that came.
        place: in the order in which the metrics see the samples of all ranks.
        rank: whose sample it was.
    """

    item: Any
    name: str
    exemplar: str = ""
    place: int = 0
    rank: int = 0


def by_index(runner: Runner, names: Sequence[tuple[str, str]]) -> dict[int, DrawnSample]:
    """The tested samples by their index in the data set, of all ranks together; every rank must
    call. Empty where samples cannot be told by an index, as in a stream. Of a sample that padding
    repeats the first is kept, as the metrics do.

    Args:
        names: condition and exemplar of this rank's samples, as they came.
    """
    items = _items(runner.test_dataloader, len(names))
    ours = None if items is None or len(items) != len(names) else [*zip(items, names, strict=True)]
    ranks = of_all_ranks(ours)
    if any(found is None for found in ranks):
        return {}
    tested = [
        DrawnSample(item, name, exemplar, number * len(ranks) + rank, rank)
        for rank, found in enumerate(ranks)
        for number, (item, (name, exemplar)) in enumerate(found)
    ]
    merged: dict[int, DrawnSample] = {}
    for sample in sorted(tested, key=lambda t: t.place):
        merged.setdefault(sample.item.__index__(), sample)
    return dict(sorted(merged.items()))


def _items(loader: Any, count: int) -> list[Any] | None:
    """What the loader asks the data set for, in order, up to one more than `count`; None where
    these are no indices."""
    batches = getattr(loader, "batch_sampler", None)
    source = getattr(loader, "sampler", None)
    if (batches is None and source is None) or not hasattr(loader.dataset, "__getitem__"):
        return None
    try:
        asked: Any = source if batches is None else chain.from_iterable(batches)
        items = [*islice(asked, count + 1)]
        for item in items:
            item.__index__()
    except (AttributeError, TypeError):
        return None
    return items


def values_by_index(
    names: Mapping[int, str], metrics: Iterable[Any]
) -> dict[int, dict[str, float]]:
    """Values of each sample, from the metrics' `per_sample`; main process only.

    Args:
        names: by index, in the order in which the metrics saw the samples.
        metrics: the evaluator's, after its evaluation.
    """
    known = [metric.per_sample for metric in metrics if hasattr(metric, "per_sample")]
    return {
        index: {k: v for found in known for k, v in found.get(key, {}).items()}
        for index, key in zip(names, unique_names(list(names.values())), strict=True)
    }


def translate_again(
    runner: Runner, tested: Mapping[int, DrawnSample], chosen: Sequence[int]
) -> dict[int, Prediction]:
    """Predictions of samples by index; every rank must call with the same `chosen`.

    A sample that comes with another name or exemplar this time is left out. One that is another
    under the same names is only told by its value, see `same_value`.
    """
    if not chosen:
        return {}
    loader = runner.test_dataloader
    collate = getattr(loader.collate_fn, "collate", loader.collate_fn)
    found = {}
    for index in chosen:
        sample = tested[index]
        (prediction,) = runner.model.test_step(collate([loader.dataset[sample.item]]))
        if (prediction.name, prediction.exemplar_name) == (sample.name, sample.exemplar):
            found[index] = prediction
    return found


def same_value(
    prediction: Prediction, by: str, value: float | None, metrics: Iterable[Any]
) -> bool:
    """Whether a prediction made again has the value that was measured in the test, but for
    rounding; True where it has none.

    Args:
        by: name of the value, such as `psnr`.
        value: as measured in the test.
        metrics: the evaluator's; the one that gives the value measures again.
    """
    if value is None:
        return True
    for metric in metrics:
        if any(by in values for values in getattr(metric, "per_sample", {}).values()):
            again = metric.values_of(metric.measure([prediction])[0]).get(by)
            metric.release()
            return again is not None and abs(again - value) <= ROUNDING[by]
    return True
