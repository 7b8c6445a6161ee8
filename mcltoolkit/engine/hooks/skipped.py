"""Unreadable samples in the log: those of all ranks, counted."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mcltoolkit.data.error_policy import Incident
from mcltoolkit.data.loader import WatchedLoader
from mcltoolkit.engine.agreement import of_all_ranks
from mcltoolkit.registry import HOOKS


@HOOKS.register_module()
class SkippedSamplesHook(Hook):
    """Logs how many samples were skipped, and names those that other ranks skipped.

    Each rank names its own at once, but only rank 0 writes the log file. Does nothing where
    `train_dataloader.on_error` does not skip.

    Args:
        interval: iterations between exchanges of the ranks.
    """

    priority = "NORMAL"

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self.told: set[int] = set()
        self.all: dict[int, Incident] = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """The scalar `skipped_samples`: replaced by this rank so far."""
        loader = runner.train_dataloader
        if not isinstance(loader, WatchedLoader) or not loader.guard.policy.skips:
            return
        runner.message_hub.update_scalar("train/skipped_samples", loader.replaced)
        if (batch_idx + 1) % self.interval == 0:
            self._exchange(runner, loader)

    def after_train(self, runner: Runner) -> None:
        """The last exchange, and a summary."""
        loader = runner.train_dataloader
        if not isinstance(loader, WatchedLoader) or not loader.guard.policy.skips:
            return
        self._exchange(runner, loader)
        if self.all and get_rank() == 0:
            listed = "\n".join(str(incident) for incident in self.all.values())
            runner.logger.warning(f"{len(self.all)} samples were unreadable and skipped:\n{listed}")

    def _exchange(self, runner: Runner, loader: WatchedLoader) -> None:
        new = {index: loader.skipped[index] for index in loader.skipped.keys() - self.told}
        self.told |= new.keys()
        for rank, incidents in enumerate(of_all_ranks(new)):
            for index, incident in incidents.items():
                known = index in self.all
                self.all.setdefault(index, incident)
                if rank and get_rank() == 0 and not known:
                    runner.logger.log(logging.WARNING, f"data, rank {rank}: {incident}")
