"""An iteration-based training loop that resumes at the sampler instead of replaying the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import LOOPS
from mcltoolkit.structures import Batch


@LOOPS.register_module()
class TranslationTrainLoop(BaseLoop):
    """Trains for a number of iterations, or of epochs counted in iterations.

    Args:
        max_iters, max_epochs: the training's length; exactly one of them.
        val_interval: iterations between validations; 0 validates only at the end.
        val_begin: first iteration that may be followed by a validation.

    Raises:
        ConfigError: no length, or two.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | dict,
        max_iters: int | None = None,
        max_epochs: int | None = None,
        val_interval: int = 1000,
        val_begin: int = 1,
    ) -> None:
        super().__init__(runner, dataloader)
        if (max_iters is None) == (max_epochs is None):
            raise ConfigError(
                f"train_cfg has max_iters={max_iters} and max_epochs={max_epochs}; set one of them"
            )
        counts = {"max_iters": max_iters, "max_epochs": max_epochs}
        for name, value in {**counts, "val_interval": val_interval, "val_begin": val_begin}.items():
            if value is None and name in counts:
                continue
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"train_cfg.{name} is {value!r}; allowed are whole numbers >= 0")
        length = len(self.dataloader)
        if length == 0:
            raise ConfigError(
                f"the training data has {len(self.dataloader.dataset)} samples, fewer than one "
                f"batch of {self.dataloader.batch_size} with drop_last; lower "
                f"train_dataloader.batch_size"
            )
        self._max_iters = int(max_iters or (max_epochs or 0) * length)
        self._max_epochs = -(-self._max_iters // length)
        self._epoch = 0
        self._iter = 0
        self.val_interval = val_interval or self._max_iters
        self.val_begin = val_begin
        self.stop_training = False
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, "metainfo", None)

    @property
    def max_epochs(self) -> int:
        """Passes over the data, rounded up."""
        return self._max_epochs

    @property
    def max_iters(self) -> int:
        """Training steps in all."""
        return self._max_iters

    @property
    def epoch(self) -> int:
        """Passes over the data begun before."""
        return self._epoch

    @property
    def iter(self) -> int:
        """Training steps done."""
        return self._iter

    def run(self) -> Any:
        """Train from the current iteration to the last."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        batches = self._batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            due = self._iter % self.val_interval == 0 and self._iter >= self.val_begin
            if self.runner.val_loop is not None and (due or self._iter == self._max_iters):
                self.runner.val_loop.run()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_iter(self, data_batch: Batch) -> None:
        """One training step with its hooks."""
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=data_batch)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook(
            "after_train_iter", batch_idx=self._iter, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1

    def _batches(self) -> Iterator[Batch]:
        """Batches from the current iteration on, epoch after epoch."""
        self._epoch, done = divmod(self._iter, len(self.dataloader))
        sampler = self.dataloader.sampler
        replay = 0
        if done and hasattr(sampler, "skip"):
            sampler.skip(done * self.dataloader.batch_size)
        elif done:
            self.runner.logger.warning(
                f"sampler {type(sampler).__name__} cannot skip: reading {done} batches again; "
                f"use SeededSampler to resume at once"
            )
            replay = done
        while True:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(self._epoch)
            for position, batch in enumerate(self.dataloader):
                if position >= replay:
                    yield batch
            replay = 0
            self._epoch += 1
