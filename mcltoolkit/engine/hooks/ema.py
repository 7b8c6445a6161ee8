"""Exponential moving average of the translator's weights, used for every evaluation."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mcltoolkit.engine.sharding import local
from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.models.exemplar_gan import unwrap
from mcltoolkit.registry import HOOKS

KEY = "ema_state_dict"


@HOOKS.register_module()
class EMAHook(Hook):
    """Averages the translator's parameters; buffers follow the trained model.

    Only new weights are taken in: not those after a batch whose gradients are accumulated, or after
    a step that the optimiser left out (a float16 overflow, for one).

    The checkpoint holds the trained weights under `state_dict` and the averaged translator under
    `ema_state_dict`. Every rank keeps the same average, of a sharded model its shards of it.
    mmengine's hook would swap the two in the file and copies the distributed wrappers.

    Args:
        decay: weight of the past, 0.999 in CoCosNet's option.

    Raises:
        WeightsError: a checkpoint to resume or test lacks the average.
    """

    priority = "NORMAL"

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"EMAHook.decay is {decay}; allowed is 0 <= decay < 1")
        self.decay = decay
        self._update = get_ema_multi_avg_fn(decay)
        self.average: dict[str, Tensor] = {}
        self.updates = 0
        self._stepped = True
        self._watched: Any = None

    def before_run(self, runner: Runner) -> None:
        """Make room for the average; the first update copies the weights."""
        self.average = {n: value.clone() for n, value in _translator(runner).state_dict().items()}
        self.updates = 0

    def before_train(self, runner: Runner) -> None:
        """Watch the generator's optimiser for its steps."""
        self._stepped = False
        optimizer = runner.optim_wrapper["generator"].optimizer
        self._watched = optimizer.register_step_post_hook(self._after_step)

    def after_train(self, runner: Runner) -> None:
        """Watch no longer."""
        self._watched.remove()

    def _after_step(self, optimizer: Any, *args: Any) -> None:
        # a float16 scaler leaves it to a fused optimiser to look at this flag, on the device
        overflow = getattr(optimizer, "found_inf", None)
        self._stepped = overflow is None or not bool(overflow)

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Take in the weights, if they are new."""
        new, self._stepped = self._stepped, self._watched is None
        translator = _translator(runner)
        weights = {name for name, _ in translator.named_parameters(remove_duplicate=False)}
        averages, trained = [], []
        for name, value in translator.state_dict().items():
            if name not in weights or not self.updates:
                local(self.average[name]).copy_(local(value))
            elif new:
                averages.append(local(self.average[name]))
                trained.append(local(value))
        if averages:
            self._update(averages, trained, self.updates)
        self.updates += new

    def before_val_epoch(self, runner: Runner) -> None:
        """Evaluate with the average."""
        self._swap(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Train on with the trained weights."""
        self._swap(runner)

    def on_validation_aborted(self, runner: Runner) -> None:
        """The same where a validation has no end."""
        self._swap(runner)

    def before_test_epoch(self, runner: Runner) -> None:
        """Test with the average."""
        self._swap(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Back to the trained weights."""
        self._swap(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the averaged translator and the number of updates; of a sharded model all ranks must
        call."""
        whole = getattr(runner.model, "whole", lambda name, value: value.detach().cpu())
        state = {f"module.{n}": whole(f"translator.{n}", v) for n, v in self.average.items()}
        checkpoint[KEY] = {"n_averaged": torch.tensor(self.updates), **state}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Restore the average; a checkpoint to start a new training from may lack it."""
        if KEY in checkpoint:
            self._restore(runner, checkpoint[KEY])
        elif runner._resume or runner._train_loop is None:
            raise WeightsError(
                f"the checkpoint holds no {KEY!r}, but the config averages weights; remove EMAHook "
                f"from custom_hooks to go on with the trained weights alone"
            )

    def _restore(self, runner: Runner, state: dict[str, Tensor]) -> None:
        spread = getattr(runner.model, "shard", lambda name, whole, like: whole)
        found = {n.removeprefix("module."): v for n, v in state.items() if n != "n_averaged"}
        differ = sorted(found.keys() ^ self.average.keys())
        for name, kept in self.average.items():
            if name not in differ:
                value = spread(f"translator.{name}", found[name], kept)
                if value.shape != kept.shape:
                    differ.append(name)
                else:
                    local(kept).copy_(local(value))
        if differ:
            raise WeightsError(
                f"the checkpoint's {KEY!r} is of another translator than the config's: names or "
                f"shapes differ for {', '.join(differ[:5])}{' ...' if len(differ) > 5 else ''}"
            )
        self.updates = int(state["n_averaged"])

    def _swap(self, runner: Runner) -> None:
        for name, value in _translator(runner).state_dict().items():
            trained, average = local(value), local(self.average[name])
            kept = trained.clone()
            trained.copy_(average)
            average.copy_(kept)


def _translator(runner: Runner) -> nn.Module:
    return unwrap(unwrap(runner.model).translator)
