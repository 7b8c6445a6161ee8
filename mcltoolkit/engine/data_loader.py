"""Data loaders from their configs, with the toolkit's policy on errors around the data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader, IterableDataset

from mcltoolkit.data.error_policy import ErrorPolicy
from mcltoolkit.data.guarded import GuardedDataset
from mcltoolkit.data.loader import WatchedLoader
from mcltoolkit.engine.stopping import ignore_in_worker
from mcltoolkit.errors import ConfigError, ToolkitError, described
from mcltoolkit.registry import DATA_SAMPLERS, DATASETS, build_component
from mcltoolkit.structures import collate


def build_loader(
    settings: Mapping[str, Any], seed: int | None = None, diff_rank_seed: bool = False
) -> DataLoader:
    """A loader of `Batch`es.

    Args:
        settings: config of a data loader as mmengine has it, and `on_error`, see `ErrorPolicy`.
        seed: of the sampler, where it has none of its own, and of what is drawn besides.
        diff_rank_seed: a sampler without a seed draws one by itself.

    Raises:
        ConfigError: a setting is missing or not allowed.
        DataError: the data set cannot be used.
    """
    settings = {"collate_fn": {"type": collate}, **settings}
    policy = ErrorPolicy.of(settings.pop("on_error", None))
    workers = settings.setdefault("num_workers", 0)
    settings.setdefault("pin_memory", torch.cuda.is_available())  # or copies would not overlap
    if not isinstance(workers, int) or workers < 0:
        raise ConfigError(f"num_workers of a data loader is {workers!r}; allowed are values >= 0")
    dataset = settings.get("dataset")
    if isinstance(dataset, Mapping):
        dataset = build_component(DATASETS, dataset, "dataset of a data loader")
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
        raise ConfigError(
            f"dataset of a data loader is {type(dataset).__name__}; allowed are data sets with "
            f"__getitem__ and __len__, such as dict(type='FolderDataset', ...)"
        )
    guard = GuardedDataset(dataset, policy, seed or 0, workers)
    sampler: Any = settings.get("sampler")

    def build_sampler(**given: Any) -> Any:
        return build_component(DATA_SAMPLERS, sampler, "sampler of a data loader", **given)

    # as functions: mmengine copies its settings deeply, but functions not
    settings.update(dataset={"type": lambda: guard}, sampler={"type": build_sampler})
    try:
        loader = Runner.build_dataloader(settings, seed, diff_rank_seed)
    except ToolkitError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, AssertionError) as error:
        raise ConfigError(
            f"a data loader of {type(dataset).__name__} cannot be built: {described(error)}; "
            f"its settings: {sorted(settings)}; see torch's DataLoader for their values"
        ) from error
    loader.worker_init_fn = partial(_prepare_worker, before=loader.worker_init_fn)
    return WatchedLoader.watch(loader, guard)


def _prepare_worker(worker: int, before: Callable[[int], None] | None) -> None:
    ignore_in_worker()
    if before is not None:
        before(worker)


def refuse_skipping(settings: Any, name: str) -> None:
    """Stop where an evaluation is told to skip: its figures would be of other samples.

    Args:
        settings: config of the loader.
        name: its setting.

    Raises:
        ConfigError: `on_error` skips.
    """
    if isinstance(settings, Mapping) and ErrorPolicy.of(settings.get("on_error")).skips:
        raise ConfigError(
            f"{name}.on_error is 'skip'; an evaluation allows 'stop' alone, since its figures "
            f"would silently be of other samples: repair the files, or take them out of the split"
        )
