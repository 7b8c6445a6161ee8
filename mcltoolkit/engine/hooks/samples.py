"""The samples of a test by their place in the data set, whatever rank had them.

A test set may be too large to keep its pictures until its best and worst samples are known. Names
are kept instead; once all values are there, the chosen samples are translated again. All ranks take
part, since a sharded model needs them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.runner import Runner

from mcltoolkit.engine.agreement import of_all_ranks
from mcltoolkit.metrics.measured import unique_names
from mcltoolkit.structures import Prediction


def by_index(runner: Runner, names: Sequence[str]) -> dict[int, str]:
    """Names of the tested samples by their index in the data set, of all ranks together; every
    rank must call. Empty where samples cannot be told by an index, as in a stream.

    Args:
        names: of this rank's samples, as they came.
    """
    loader = runner.test_dataloader
    sampler = getattr(loader, "sampler", None)
    items: list[int] = []
    if sampler is not None and hasattr(loader.dataset, "__getitem__"):
        try:
            items = [item.__index__() for item in sampler]
        except (AttributeError, TypeError):
            items = []
    ours = dict(zip(items, names, strict=True)) if len(items) == len(names) else None
    ranks = of_all_ranks(ours)
    if any(found is None for found in ranks):
        return {}
    merged = {index: name for found in ranks for index, name in found.items()}
    return dict(sorted(merged.items()))


def values_by_index(
    names: Mapping[int, str], metrics: Iterable[Any]
) -> dict[int, dict[str, float]]:
    """Values of each sample, from the metrics' `per_sample`; main process only.

    Args:
        names: from `by_index`.
        metrics: the evaluator's, after its evaluation.
    """
    known = [metric.per_sample for metric in metrics if hasattr(metric, "per_sample")]
    return {
        index: {k: v for found in known for k, v in found.get(key, {}).items()}
        for index, key in zip(names, unique_names(list(names.values())), strict=True)
    }


def translate_again(
    runner: Runner, names: Mapping[int, str], chosen: Sequence[int]
) -> dict[int, Prediction]:
    """Predictions of samples by index; every rank must call with the same `chosen`.

    A data set that does not give the same sample twice gives none: its name would be another.
    """
    if not chosen:
        return {}
    loader = runner.test_dataloader
    collate = getattr(loader.collate_fn, "collate", loader.collate_fn)
    found = {}
    for index in chosen:
        (prediction,) = runner.model.test_step(collate([loader.dataset[index]]))
        if prediction.name == names[index]:
            found[index] = prediction
    return found
