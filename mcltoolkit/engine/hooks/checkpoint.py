"""Checkpoints of plain values and plain keys, so that they load with `weights_only=True`, with the
config that builds their networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mcltoolkit.engine.config import plain_config
from mcltoolkit.registry import HOOKS


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Turns what mmengine saves into plain values before saving, and back after loading.

    The checkpoint carries its config under `config`. One that was converted from elsewhere may
    lack parts of the model, which it names in `absent`; these keep their initial weights.

    mmengine stores `HistoryBuffer` objects, which torch >= 2.6 refuses to load, and a model whose
    children are wrapped for distributed training saves keys such as `generator.module.weight`,
    which its loader drops with a warning.
    """

    priority = 100  # after every hook that adds to the checkpoint

    def before_run(self, runner: Runner) -> None:
        """Find out before a training, not after it, that its config cannot be saved."""
        plain_config(runner.cfg)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Strip wrappers from the keys, make every value plain, add the config."""
        checkpoint["config"] = plain_config(runner.cfg)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        checkpoint["state_dict"] = strip_wrappers(model, checkpoint["state_dict"])
        for key in [k for k in checkpoint if k != "state_dict"]:
            checkpoint[key] = plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Rebuild mmengine's log buffers; keep the initial weights of absent parts."""
        if checkpoint.get("absent"):
            _keep_absent_parts(runner, checkpoint)
        scalars = checkpoint.get("message_hub", {}).get("log_scalars", {})
        for name, value in scalars.items():
            if isinstance(value, dict):
                scalars[name] = HistoryBuffer(value["log"].tolist(), value["count"].tolist())


def _keep_absent_parts(runner: Runner, checkpoint: dict[str, Any]) -> None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    own = strip_wrappers(model, model.state_dict())
    for part in checkpoint["absent"]:
        kept = {key: value for key, value in own.items() if key.startswith(f"{part}.")}
        if kept:
            runner.logger.warning(f"the checkpoint holds no {part}: it keeps its initial weights")
            checkpoint["state_dict"].update(kept)


def strip_wrappers(model: nn.Module, state: dict[str, Any]) -> dict[str, Any]:
    """`state` with the keys of `model` as if none of its direct children were wrapped."""
    wrapped = [name for name, child in model.named_children() if is_model_wrapper(child)]
    renamed = {}
    for key, value in state.items():
        name, _, rest = key.partition(".")
        if name in wrapped:
            rest = rest.removeprefix("module.")
        renamed[f"{name}.{rest}" if rest else name] = value
    return renamed


def plain(value: Any) -> Any:
    """`value` with log buffers as tensors, numpy values as Python's, dicts as plain dicts."""
    if isinstance(value, HistoryBuffer):
        log, count = value.data
        return {"log": torch.tensor(log), "count": torch.tensor(count)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return value
