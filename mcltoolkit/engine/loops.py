"""An iteration-based training loop that resumes at the sampler instead of replaying the data, and
stops cleanly between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from mcltoolkit.engine import random_state
from mcltoolkit.engine.agreement import any_rank
from mcltoolkit.engine.hooks.checkpoint import CheckpointHook
from mcltoolkit.engine.optim import in_accumulation
from mcltoolkit.engine.prefetch import Prefetcher, wants_prefetch
from mcltoolkit.engine.stopping import TrainingStopped, ValidationAborted
from mcltoolkit.errors import ConfigError, OtherRankError
from mcltoolkit.models.exemplar_gan import unwrap
from mcltoolkit.registry import LOOPS
from mcltoolkit.structures import Batch


@dataclass(frozen=True)
class Position:
    """How far a training has read its data.

    Attributes:
        epoch: passes completed.
        samples: samples of the current pass that all ranks together have taken.
    """

    epoch: int = 0
    samples: int = 0


@LOOPS.register_module()
class TranslationTrainLoop(BaseLoop):
    """Trains for a number of iterations, or of epochs counted in iterations.

    Args:
        max_iters, max_epochs: the training's length; exactly one of them.
        val_interval: iterations between validations; 0 validates only at the end.
        val_begin: first iteration that may be followed by a validation.
        prefetch: prepare the next batch while a step computes, see `Prefetcher`; None does so on
            CUDA.

    Raises:
        ConfigError: no length, or two; a setting that is not allowed.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | dict,
        max_iters: int | None = None,
        max_epochs: int | None = None,
        val_interval: int = 1000,
        val_begin: int = 1,
        prefetch: bool | None = None,
    ) -> None:
        super().__init__(runner, dataloader)
        wants_prefetch(prefetch, torch.device("cpu"))  # checked before anything is done
        self.prefetch = prefetch
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
        self._counts_epochs = max_epochs is not None
        self._iter = 0
        self._position = Position()
        self._validation_due = False
        self.val_interval = val_interval or self._max_iters
        self.val_begin = val_begin
        self.stop_training = False
        self.random_state: dict[str, Any] | None = None
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
        return self._position.epoch

    @property
    def iter(self) -> int:
        """Training steps done."""
        return self._iter

    @property
    def samples_a_step(self) -> int:
        """Samples that all ranks together take in a step."""
        batch_size = self.dataloader.batch_size
        if batch_size is None:  # a batch sampler of the user's
            batch_size = getattr(self.dataloader.batch_sampler, "batch_size", 1)
        return int(batch_size) * self.runner.world_size

    def position_of(self, iteration: int) -> dict[str, Any]:
        """What a checkpoint after the newest step says about the place in the data."""
        return {
            "position": {"epoch": self._position.epoch, "samples": self._position.samples},
            "samples_a_step": self.samples_a_step,
            "validation_due": self._is_validation_due(iteration),
        }

    def resume(self, meta: Mapping[str, Any], source: str) -> None:
        """Go to the place where a checkpoint was written.

        Args:
            meta: the checkpoint's `meta`.
            source: its name, for messages.

        Raises:
            ConfigError: the training's length is counted in epochs, and a step has another number
                of samples now.
        """
        self._iter = int(meta["iter"])
        before = int(meta.get("samples_a_step", self.samples_a_step))
        if before != self.samples_a_step:
            told = (
                f"{source} was trained with {before} samples a step over all ranks, now there are "
                f"{self.samples_a_step} ({self.runner.world_size} ranks)"
            )
            if self._counts_epochs:
                raise ConfigError(
                    f"{told}: a training of train_cfg.max_epochs cannot be resumed so; "
                    f"set train_dataloader.batch_size so that the product is {before}, or set "
                    f"train_cfg.max_iters in place of max_epochs"
                )
            self.runner.logger.warning(f"{told}: the steps to {self._max_iters} take other batches")
        position = meta.get("position")
        if position is None:
            epoch, done = divmod(self._iter, len(self.dataloader))
            position = {"epoch": epoch, "samples": done * self.samples_a_step}
        self._position = Position(**position)
        self._validation_due = bool(meta.get("validation_due", False))

    def run(self) -> Any:
        """Train from the current iteration to the last.

        Raises:
            TrainingStopped: a signal asked for it; the checkpoint is saved.
        """
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        batches = self._batches()
        preprocessor: Any = getattr(unwrap(self.runner.model), "data_preprocessor", None)
        if hasattr(preprocessor, "ahead") and wants_prefetch(self.prefetch, preprocessor.device):
            batches = Prefetcher(batches, preprocessor)
        if self._validation_due:  # it was cut short, or comes right after the checkpoint
            self._validate()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            batch, position = self._fetch(batches)
            if self.random_state is not None:
                random_state.restore(self.random_state)
                self.random_state = None
            self._position = position
            self.run_iter(batch)
            if self._is_validation_due(self._iter):
                self._validate()
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

    def _is_validation_due(self, iteration: int) -> bool:
        due = iteration % self.val_interval == 0 and iteration >= self.val_begin
        return self.runner.val_loop is not None and (due or iteration == self._max_iters)

    def _validate(self) -> None:
        """Training draws the same random numbers with and without validations."""
        try:
            with random_state.preserved():
                self.runner.val_loop.run()
        except ValidationAborted:
            self.runner.call_hook("on_validation_aborted")
            self._stop()
        self._validation_due = False

    def _fetch(self, batches: Iterator[tuple[Batch, Position]]) -> tuple[Batch, Position]:
        """The next batch, or the end of the training on all ranks alike."""
        failure: Exception | None = None
        try:
            fetched = next(batches)
        except Exception as error:  # whatever a data set raises, all ranks must hear of it
            failure = error
        # in the middle of accumulated batches their gradients would be lost: go on to the last
        wanted = self.runner.signals.received is not None and not in_accumulation(
            self.runner.optim_wrapper
        )
        stop, failed = any_rank(wanted, failure is not None)
        if stop:  # a batch that was fetched, or broke because its worker got the signal, is lost
            self._stop()
        if failure is not None:
            raise failure
        if failed:
            raise OtherRankError(
                f"another rank could not read its data for step {self._iter + 1}; see its message"
            )
        return fetched

    def _stop(self) -> None:
        if self.random_state is not None:  # no step has been made since the resume
            random_state.restore(self.random_state)
            self.random_state = None
        number = self.runner.signals.received
        name = "a signal to another rank" if number is None else signal.Signals(number).name
        told = f"stopped by {name} after {self._iter} of {self._max_iters} steps"
        hooks = [h for h in self.runner.hooks if isinstance(h, CheckpointHook)]
        if hooks:
            told += f"; {hooks[0].save_now(self.runner)} is saved: go on with --resume"
        else:
            told += "; nothing is saved, since the config has no default_hooks.checkpoint"
        self.runner.call_hook("after_run")
        raise TrainingStopped(told, 128 + (number or signal.SIGTERM))

    def _batches(self) -> Iterator[tuple[Batch, Position]]:
        """Batches from the current position on, epoch after epoch, with the position after each."""
        epoch, samples = self._position.epoch, self._position.samples
        sampler = self.dataloader.sampler
        replay = 0
        if samples and hasattr(sampler, "skip") and self.dataloader.batch_size is not None:
            sampler.skip(min(samples // self.runner.world_size, len(sampler)))
        elif samples:
            replay = samples // self.samples_a_step
            self.runner.logger.warning(
                f"sampler {type(sampler).__name__} cannot skip: reading {replay} batches again; "
                f"use SeededSampler to resume at once"
            )
            samples -= replay * self.samples_a_step
        while True:
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
            for batch in self.dataloader:
                samples += self.samples_a_step
                if replay:
                    replay -= 1
                    continue
                yield batch, Position(epoch, samples)
            samples = 0
            epoch += 1
