"""Exponential moving average of the translator's weights, used for every evaluation."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.registry import HOOKS

KEY = "ema_state_dict"


@HOOKS.register_module()
class EMAHook(Hook):
    """Averages the translator's parameters; buffers follow the trained model.

    The checkpoint holds the trained weights under `state_dict` and the averaged translator under
    `ema_state_dict`. mmengine's hook would swap the two in the file and copies the distributed
    wrappers.

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
        self.average: AveragedModel | None = None

    def before_run(self, runner: Runner) -> None:
        """Make room for the average; the first update copies the weights."""
        self.average = AveragedModel(
            _translator(runner), multi_avg_fn=get_ema_multi_avg_fn(self.decay)
        )
        self.average.requires_grad_(False)

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Take in the new weights."""
        assert self.average is not None
        self.average.update_parameters(_translator(runner))

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
        """Add the averaged translator and the number of updates."""
        assert self.average is not None
        checkpoint[KEY] = {k: v.detach().cpu() for k, v in self.average.state_dict().items()}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Restore the average; a checkpoint to start a new training from may lack it."""
        assert self.average is not None
        if KEY in checkpoint:
            self.average.load_state_dict(checkpoint[KEY])
        elif runner._resume or runner._train_loop is None:
            raise WeightsError(
                f"the checkpoint holds no {KEY!r}, but the config averages weights; remove EMAHook "
                f"from custom_hooks to go on with the trained weights alone"
            )

    def _swap(self, runner: Runner) -> None:
        assert self.average is not None
        trained = _translator(runner).state_dict()
        averaged = self.average.module.state_dict()
        for name, value in trained.items():
            kept = value.clone()
            value.copy_(averaged[name])
            averaged[name].copy_(kept)


def _translator(runner: Runner) -> nn.Module:
    model: Any = runner.model.module if is_model_wrapper(runner.model) else runner.model
    child: Any = model.translator
    return child.module if is_model_wrapper(child) else child
