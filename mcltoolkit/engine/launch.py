"""Training and testing as functions: what the command-line tools call."""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_rank, init_dist
from mmengine.logging import print_log

from mcltoolkit.engine import agreement
from mcltoolkit.engine.agreement import cpu_group
from mcltoolkit.engine.checkpoints import latest_checkpoint, newest_whole, nothing_to_resume
from mcltoolkit.engine.config import check_writable
from mcltoolkit.engine.distributed import init_process_group
from mcltoolkit.engine.hooks import ReportHook
from mcltoolkit.engine.modes import modes
from mcltoolkit.engine.runner import TranslationRunner
from mcltoolkit.engine.stopping import TrainingStopped
from mcltoolkit.errors import ConfigError, ToolkitError
from mcltoolkit.launcher.ending import announce_rank, end_with, leave_group
from mcltoolkit.metrics.results import read_results
from mcltoolkit.registry import MODEL_WRAPPERS
from mcltoolkit.visualization.extremes import check_samples
from mcltoolkit.visualization.scalars import Files
from mcltoolkit.waiting import wait_quietly


def train(
    config: Config,
    *,
    resume: bool | str = False,
    amp: bool = False,
    deterministic: bool = False,
    detect_anomaly: bool = False,
) -> TranslationRunner:
    """Train, or go on with a training.

    Args:
        config: from `load_config`; its work directory receives logs, checkpoints and pictures.
        resume: True goes on from the newest whole checkpoint of the work directory, `'auto'` does
            so where there is one and starts anew otherwise, a path goes on from that file.
        amp: mixed precision: float16 on CUDA, bfloat16 elsewhere.
        deterministic, detect_anomaly: switch on the settings `randomness.deterministic` and
            `detect_anomaly`, see `modes`.

    Raises:
        ConfigError: nothing to resume, or the work directory cannot be written.
        WeightsError: no checkpoint of the work directory is whole, or it does not fit the config.
        TrainingStopped: a signal ended the training; its checkpoint is saved.
    """
    config = _prepare(config)
    if amp:
        for side in ("generator", "discriminator"):
            if side in config.optim_wrapper:
                config.optim_wrapper[side]["type"] = "AutocastOptimWrapper"
    if deterministic:
        config.randomness = {**(config.get("randomness") or {}), "deterministic": True}
    config.detect_anomaly = detect_anomaly or config.get("detect_anomaly")
    with modes(config):
        if resume:
            if config.launcher != "none" and not dist.is_initialized():  # with CUDA
                init_dist(config.launcher, **(config.get("env_cfg") or {}).get("dist_cfg", {}))
            found = _to_resume(config.work_dir, resume)
            if found is not None:
                config.resume, config.load_from = True, found
        runner = TranslationRunner.from_cfg(config)
        runner.train()
    return runner


def test(
    config: Config,
    checkpoint: str | None,
    *,
    out_dir: str | None = None,
    title: str | None = None,
    facts: dict[str, Any] | None = None,
    scalars_file: Files | None = None,
    samples: int = 8,
) -> dict[str, float]:
    """Evaluate on the test set, writing `metrics.json`, `grid.png`, `report.html` and `record/`.

    Args:
        config: from `load_config`.
        checkpoint: file to test; None tests the untrained network.
        out_dir: folder of the files; default `WORK_DIR/test`.
        title, facts, scalars_file, samples: see `ReportHook`.

    Returns:
        Metrics by name.

    Raises:
        ConfigError: `samples` is less than 1, or a folder cannot be written.
    """
    check_samples(samples)
    whole = config._cfg_dict.to_dict()
    config = _prepare(config)
    out_dir = out_dir or str(Path(config.work_dir) / "test")
    check_writable(out_dir)
    config.work_dir = str(Path(out_dir) / "log")
    config.load_from = checkpoint
    config.resume = False
    hooks = [h for h in config.get("custom_hooks") or [] if h["type"] != "EMAHook" or checkpoint]
    report = dict(
        type="ReportHook",
        out_dir=out_dir,
        samples=samples,
        title=title or f"Test of {Path(config.filename or 'config').stem}",
        facts={"checkpoint": checkpoint or "none (untrained)", **(facts or {})},
        scalars_file=_as_text(scalars_file),
    )
    config.custom_hooks = [*hooks, report]
    for name in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
        config[name] = None
    for name in ("val_dataloader", "val_cfg", "val_evaluator"):
        config[name] = None
    runner = TranslationRunner.from_cfg(config)
    for hook in runner.hooks:
        if isinstance(hook, ReportHook):
            hook.config = whole
    return runner.test()


def next_step(runner: TranslationRunner, config: str, work_dir: str | None = None) -> str:
    """What to do with a training that has ended, in words.

    Args:
        runner: of the training.
        config, work_dir: as they were given on the command line.
    """
    said = f"trained {runner.iter} steps; pictures and curves are in {runner.work_dir}"
    try:
        checkpoint = latest_checkpoint(runner.work_dir)
    except ConfigError:
        return f"{said}; no checkpoint was saved, since default_hooks.checkpoint is None"
    words = ["python", "tools/test.py", config, str(checkpoint)]
    words += [] if work_dir is None else ["--work-dir", work_dir]
    return f"{said}. Next:\n  {shlex.join(words)}"


def scalars_file(work_dir: str | Path) -> str | None:
    """The newest training log (`vis_data/scalars.json`) of a work directory, if any."""
    found = sorted(Path(work_dir).glob("*/vis_data/scalars.json"))
    return str(found[-1]) if found else None


def read_metrics(path: str | Path) -> dict[str, float]:
    """Values by name of the metrics that `test` wrote; their passports: `read_results`.

    Raises:
        DataError: the file is missing or holds something else.
    """
    return {name: result.value for name, result in read_results(path).items()}


def run_tool(main: Callable[[], Any]) -> None:
    """Run a command-line tool: errors of the user's making end it with a message and status 2, a
    signal that a training obeyed with 128 + its number.

    Of several ranks, one that fails ends at once and leaves its error to the launcher; one that
    has lost contact with the others says so in a line. See `mcltoolkit.launcher.ending`.
    """
    announce_rank()
    try:
        main()
    except TrainingStopped as stopped:
        if get_rank() == 0:
            print(f"training {stopped}", file=sys.stderr)
        leave_group()
        sys.exit(stopped.status)
    except SystemExit:
        leave_group()
        raise
    except Exception as error:
        end_with(error)
    leave_group()


def _prepare(config: Config) -> Config:
    wait_quietly()
    config = Config(config._cfg_dict.to_dict(), filename=config.filename)
    check_writable(config.work_dir)
    _check_backends(config)
    timeout = ((config.get("env_cfg") or {}).get("dist_cfg") or {}).get("timeout")
    init_process_group(config.launcher, timeout)
    agreement.patience = timeout
    _choose_wrapper(config)
    recomputed = config.pop("activation_checkpointing", None)
    if recomputed and config.get("compile"):
        raise ConfigError(
            "compile and activation_checkpointing are both set; torch.compile chooses itself what "
            "to compute again, so allowed is one of them: set the other to None"
        )
    if recomputed:  # taken from mmengine's Runner, whose way is wrong for buffers
        hook = dict(type="RecomputeHook", modules=recomputed)
        config.custom_hooks = [hook, *(config.get("custom_hooks") or [])]
    plain = not torch.cuda.is_available() and "CUDA_VISIBLE_DEVICES" not in os.environ
    if config.launcher != "none" and plain:
        print_log("no CUDA: ranks run on the CPU with gloo", logger="current")
    _check_devices(config)
    return config


def _as_text(files: Files | None) -> str | list[str] | None:
    """Paths as a config can hold them."""
    if files is None or isinstance(files, str | os.PathLike):
        return None if files is None else os.fspath(files)
    return [os.fspath(file) for file in files]


def _to_resume(work_dir: str, resume: bool | str) -> str | None:
    """The checkpoint to go on from, as rank 0 finds it, for all ranks."""
    if isinstance(resume, str) and resume != "auto":
        return resume
    answer: list[Any] = [None, None]
    if get_rank() == 0:
        try:
            found, skipped = newest_whole(work_dir)
            for reason in skipped:
                print_log(f"resume passes over: {reason}", logger="current", level=logging.WARNING)
            if found is None and resume != "auto":
                raise nothing_to_resume(work_dir)
            answer = [found, None]
        except ToolkitError as failure:
            answer = [None, failure]
    if dist.is_initialized():
        dist.broadcast_object_list(answer, group=cpu_group())
    found, error = answer
    if error is not None:
        raise error
    print_log(f"going on from {found or 'nothing: starting anew'}", logger="current")
    return found


def _choose_wrapper(config: Config) -> None:
    """The wrapper for several ranks, DDP unless the config names one."""
    wrapper = ConfigDict(config.get("model_wrapper_cfg") or {})
    if config.launcher == "none":
        if wrapper:
            print_log(f"one process: model_wrapper_cfg ({wrapper.get('type')}) has no effect")
        config.pop("model_wrapper_cfg", None)
        return
    kind = wrapper.setdefault("type", "SeparateDDP")
    if isinstance(kind, str) and kind in MODEL_WRAPPERS.module_dict:
        # with its scope: the Runner looks wrappers up in mmengine's root registry
        wrapper.type = f"mcltoolkit.{kind}"
    if wrapper.type == "mcltoolkit.SeparateDDP" and not torch.cuda.is_available():
        wrapper.device_ids = None
    config.model_wrapper_cfg = wrapper


def _check_backends(config: Config) -> None:
    """WandB is no dependency; mmengine would tell only after the data are read."""
    visualizer = config.get("visualizer")
    backends = visualizer.get("vis_backends") if isinstance(visualizer, dict) else None
    listed = backends if isinstance(backends, list | tuple) else ()
    kinds = [str(backend.get("type")) for backend in listed if isinstance(backend, dict)]
    wanted = any(kind.endswith("WandbVisBackend") for kind in kinds)
    if wanted and importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            "visualizer.vis_backends has a WandbVisBackend, but wandb is not installed; run "
            "`pip install 'mcltoolkit[wandb]'`, or take the backend out"
        )


def _check_devices(config: Config) -> None:
    if config.launcher == "none" or not torch.cuda.is_available():
        return
    rank, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if rank >= count:
        raise ConfigError(
            f"rank {rank} of this node finds only {count} GPUs; start at most {count} processes"
        )
