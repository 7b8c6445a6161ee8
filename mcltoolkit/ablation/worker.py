"""One run in a process of its own: train, then all evaluations.

    python -m mcltoolkit.ablation.worker RUN_FOLDER

The folder holds `run.json`, `config.py` and a folder with `config.py` for each evaluation. What is
there already is not made again: an ended training, a checkpoint to go on from, an evaluation's
metrics. The process ends with the one that started it, when that closes the standard input.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mcltoolkit
from mcltoolkit.ablation.plan import Run
from mcltoolkit.ablation.results import measured_in, read_json
from mcltoolkit.ablation.settings import as_python, training_part
from mcltoolkit.engine.checkpoints import checkpoints_in, latest_checkpoint
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import scalars_file, test, train
from mcltoolkit.engine.stopping import TrainingStopped
from mcltoolkit.errors import ConfigError
from mcltoolkit.files import write_atomically, write_json
from mcltoolkit.registry import HOOKS


@HOOKS.register_module()
class StepFileHook(Hook):
    """Writes `STEP TOTAL` into a file about once a second, for whoever watches from outside."""

    priority = "VERY_LOW"

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.written = float("-inf")

    def before_train(self, runner: Runner) -> None:
        """Tell where the training starts."""
        self._write(runner.iter, runner.max_iters)

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Tell the step."""
        if time.monotonic() - self.written > 1:
            self._write(batch_idx + 1, runner.max_iters)

    def _write(self, step: int, total: int) -> None:
        self.written = time.monotonic()
        write_atomically(self.path, f"{step} {total}".encode())


def prepare(run: Run) -> None:
    """Write what a worker reads: the run's place in the matrix and its resolved configs."""
    for folder, settings in [
        (run.folder, run.settings),
        *((evaluation.folder, evaluation.settings) for evaluation in run.evaluations),
    ]:
        folder.mkdir(parents=True, exist_ok=True)
        text = f'"""{run.title}"""\n\n{as_python(settings)}'
        write_atomically(folder / "config.py", text.encode())
        known = training_part(settings) if folder == run.folder else settings
        write_json(folder / "settings.json", known)
    write_json(
        run.folder / "run.json",
        {
            "row": run.row,
            "group": run.group,
            "seed": run.seed,
            "title": run.title,
            "fingerprint": run.fingerprint,
            "evaluations": {e.name: e.folder.name for e in run.evaluations},
        },
    )


def work(folder: Path) -> None:
    """Do what is left to do of a prepared run."""
    told = read_json(folder / "run.json")
    if told is None:
        raise ConfigError(f"{folder} holds no run.json; run tools/ablate.py, which prepares it")
    ended = _train(folder)
    checkpoint = str(folder / "train" / ended["checkpoint"])
    evaluations = {}
    for name, place in told["evaluations"].items():
        if measured_in(folder / place / "metrics.json") is None:
            test(
                load_config(folder / place / "config.py", work_dir=str(folder / place)),
                checkpoint,
                out_dir=str(folder / place),
                title=f"{told['title']}: {name}",
                scalars_file=scalars_file(folder / "train"),
            )
        measured = measured_in(folder / place / "metrics.json") or {}
        metrics = {metric: found.value for metric, found in measured.items()}
        evaluations[name] = {"folder": place, "metrics": metrics}
    write_json(folder / "result.json", {**told, **ended, **_versions(), "evaluations": evaluations})


def _train(folder: Path) -> dict[str, Any]:
    ended = read_json(folder / "trained.json")
    if ended and (folder / "train" / ended["checkpoint"]).is_file():
        return ended
    config = load_config(folder / "config.py", work_dir=str(folder / "train"))
    config.custom_hooks = [
        *(config.get("custom_hooks") or []),
        dict(type="StepFileHook", path=str(folder / "step")),
    ]
    resume = bool(checkpoints_in(folder / "train"))
    started = time.perf_counter()
    runner = train(config, resume="auto")
    ended = {
        "checkpoint": Path(latest_checkpoint(folder / "train")).name,
        "steps": runner.max_iters,
        # a resumed training has spent an unknown time before
        "train_seconds": None if resume else time.perf_counter() - started,
    }
    write_json(folder / "trained.json", ended)
    return ended


def _versions() -> dict[str, str]:
    return {
        "mcltoolkit": mcltoolkit.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock would disturb the interpreter's end
        pass
    os._exit(1)


def main(folder: Path) -> None:
    """Run, or leave the error's last words in `failed.json`."""
    (folder / "failed.json").unlink(missing_ok=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(folder)
    except TrainingStopped as stopped:  # it goes on from its checkpoint at the next call
        print(stopped, flush=True)
        sys.exit(stopped.status)
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or ["no message"]
        write_json(folder / "failed.json", {"error": f"{type(error).__name__}: {lines[0]}"})
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
