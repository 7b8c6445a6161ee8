"""A long validation does not keep a training from stopping."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mcltoolkit.engine.agreement import any_rank, same_on_all_ranks
from mcltoolkit.engine.stopping import ValidationAborted


class LeaveValidationHook(Hook):
    """Leaves a validation half-way once a signal to stop has come; the runner has it by itself.

    Ranks whose validations differ in length cannot agree half-way and go on to their end.

    Raises:
        ValidationAborted: on all ranks at the same batch.
    """

    priority = "LOWEST"

    def before_val_epoch(self, runner: Runner) -> None:
        """See whether the ranks can agree."""
        self._in_step = same_on_all_ranks(len(runner.val_dataloader))

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Agree."""
        if self._in_step and any_rank(runner.signals.received is not None)[0]:
            raise ValidationAborted
