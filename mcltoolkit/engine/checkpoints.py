"""What a training's checkpoint holds, and which file of a work directory to go on from."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mcltoolkit.engine import random_state
from mcltoolkit.engine.agreement import of_all_ranks
from mcltoolkit.engine.config import plain_config
from mcltoolkit.engine.files import check_whole
from mcltoolkit.errors import ConfigError, WeightsError


def assemble(
    runner: Runner, meta: dict[str, Any], *, optimizer: bool = True, schedule: bool = True
) -> dict[str, Any]:
    """Everything that a training goes on from, as tensors on the CPU and plain values.

    Every rank must call; the result is complete on rank 0. Keys: `meta` (iteration, position in
    the data, ranks), `config`, `state_dict`, `optimizer` (with gradient scalers),
    `param_schedulers`, `message_hub` (logged values), `random_states` (by rank), and what hooks
    add in `before_save_checkpoint`, which is called on every rank.
    """
    wrapper = runner.model
    model = wrapper.module if is_model_wrapper(wrapper) else wrapper
    sharded = hasattr(wrapper, "full_state_dict")
    checkpoint: dict[str, Any] = {
        "meta": {
            **meta,
            "seed": runner.seed,
            "experiment_name": runner.experiment_name,
            "time": time.strftime("%Y%m%d_%H%M%S", time.localtime()),
            "mmengine_version": mmengine.__version__,
            "world_size": runner.world_size,
            "dataset_meta": getattr(runner.train_dataloader.dataset, "metainfo", None),
        },
        "config": plain_config(runner.cfg),
        "message_hub": runner.message_hub.state_dict(),
        "random_states": of_all_ranks(random_state.capture()),
    }
    if sharded:
        checkpoint["state_dict"] = wrapper.full_state_dict()
    else:
        checkpoint["state_dict"] = strip_wrappers(model, model.state_dict())
    if optimizer and sharded:
        checkpoint["optimizer"] = wrapper.full_optim_state_dict(runner.optim_wrapper)
    elif optimizer:
        checkpoint["optimizer"] = runner.optim_wrapper.state_dict()
    schedulers = runner.param_schedulers if schedule else None
    if isinstance(schedulers, dict):
        checkpoint["param_schedulers"] = {
            name: [one.state_dict() for one in several] for name, several in schedulers.items()
        }
    elif schedulers is not None:
        checkpoint["param_schedulers"] = [one.state_dict() for one in schedulers]
    runner.call_hook("before_save_checkpoint", checkpoint=checkpoint)
    return plain(checkpoint)


def rebuild_logs(checkpoint: dict[str, Any]) -> None:
    """mmengine's log buffers in place of the tensors that `plain` made of them."""
    scalars = checkpoint.get("message_hub", {}).get("log_scalars", {})
    for name, value in scalars.items():
        if isinstance(value, dict):
            scalars[name] = HistoryBuffer(value["log"].tolist(), value["count"].tolist())


def keep_absent_parts(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Fill in the model's initial weights for the parts that a converted checkpoint says it lacks
    (under `absent`)."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    own = strip_wrappers(model, model.state_dict())
    for part in checkpoint.get("absent") or ():
        kept = {key: value for key, value in own.items() if key.startswith(f"{part}.")}
        if kept:
            runner.logger.warning(f"the checkpoint holds no {part}: it keeps its initial weights")
            checkpoint["state_dict"].update(kept)


def strip_wrappers(model: nn.Module, state: dict[str, Any]) -> dict[str, Any]:
    """`state` with the keys of `model` as if none of its direct children were wrapped.

    mmengine saves keys such as `generator.module.weight`, which its loader drops with a warning.
    """
    wrapped = [name for name, child in model.named_children() if is_model_wrapper(child)]
    renamed = {}
    for key, value in state.items():
        name, _, rest = key.partition(".")
        if name in wrapped:
            rest = rest.removeprefix("module.")
        renamed[f"{name}.{rest}" if rest else name] = value
    return renamed


def plain(value: Any) -> Any:
    """`value` with tensors on the CPU, log buffers as tensors, numpy values as Python's, dicts as
    plain dicts: what loads with `weights_only=True`."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
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


def checkpoints_in(work_dir: str | Path) -> list[Path]:
    """The files `iter_N.pth` of a work directory, newest first."""
    found = Path(work_dir).glob("iter_*.pth")
    numbered = [p for p in found if p.stem.removeprefix("iter_").isdecimal()]
    return sorted(numbered, key=lambda p: int(p.stem.removeprefix("iter_")), reverse=True)


def latest_checkpoint(work_dir: str | Path) -> str:
    """The checkpoint of the largest iteration of a work directory.

    Raises:
        ConfigError: there is none.
    """
    found = checkpoints_in(work_dir)
    if not found:
        raise nothing_to_resume(work_dir)
    return str(found[0])


def newest_whole(work_dir: str | Path) -> tuple[str | None, list[str]]:
    """The checkpoint of the largest iteration that is whole, and why newer ones were passed over.

    Raises:
        WeightsError: there are checkpoints, but none of them is whole.
    """
    skipped = []
    for path in checkpoints_in(work_dir):
        try:
            check_whole(path)
        except WeightsError as error:
            skipped.append(str(error))
            continue
        return str(path), skipped
    if skipped:
        raise WeightsError(
            f"none of the {len(skipped)} checkpoints in {work_dir} is whole:\n"
            f"{_lines(skipped)}\nCopy a whole one into it, or start anew in another work directory"
        )
    return None, skipped


def nothing_to_resume(work_dir: str | Path) -> ConfigError:
    """The error for a work directory without checkpoints."""
    return ConfigError(
        f"nothing to resume: {work_dir} holds no iter_N.pth; check --work-dir, or start without "
        f"--resume (`--resume auto` resumes what there is and starts anew otherwise)"
    )


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(f"  {text}" for text in texts)
