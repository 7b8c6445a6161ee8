"""The runs as shell commands, for machines and queues that the toolkit does not start itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from mcltoolkit.ablation.plan import Run
from mcltoolkit.ablation.settings import same
from mcltoolkit.errors import ConfigError

LAUNCHERS = ("dist", "slurm")


def command(
    run: Run, launcher: str, tools: Path, *, gpus: int = 4, partition: str = "PARTITION"
) -> str:
    """One shell command that trains and then evaluates.

    Args:
        run: from `plan`.
        launcher: `dist` (torchrun, on this node) or `slurm`.
        tools: folder of the toolkit's scripts.
        gpus: processes.
        partition: Slurm's.

    Raises:
        ConfigError: a setting that `--cfg-options` cannot express.
    """
    train_options = _cfg_options(run.options)
    words = _head(launcher, tools, "train", run, gpus, partition)
    parts = [_join([*words, "--work-dir", str(run.train_dir), *train_options])]
    # the training writes the path of its last checkpoint into this file
    checkpoint = f'"$(cat {shlex.quote(str(run.train_dir / "last_checkpoint"))})"'
    for evaluation in run.evaluations:
        words = _head(launcher, tools, "test", run, gpus, partition)
        options = _cfg_options({**run.options, **evaluation.options})
        place = words.index(_CHECKPOINT)
        rest = ["--work-dir", str(run.train_dir), "--out", str(evaluation.folder), *options]
        parts.append(f"{_join(words[:place])} {checkpoint} {_join([*words[place + 1 :], *rest])}")
    return " && \\\n  ".join(parts)


_CHECKPOINT = "CHECKPOINT"


def _head(launcher: str, tools: Path, job: str, run: Run, gpus: int, partition: str) -> list[str]:
    target = [str(run.config)] + ([_CHECKPOINT] if job == "test" else [])
    script = str(tools / f"{launcher}_{job}.sh")
    if launcher == "dist":
        return [script, *target, str(gpus)]
    return ["env", f"GPUS={gpus}", script, partition, f"{run.stem}-{job}", *target]


def _join(words: list[str]) -> str:
    return shlex.join(words)


def _cfg_options(options: Mapping[str, Any]) -> list[str]:
    flat = [f"{key}={_text(key, value)}" for key, value in _flat(options)]
    return ["--cfg-options", *flat] if flat else []


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dicts as one option a key, which comes to the same."""
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(key: str, value: Any) -> str:
    text = _write(value)
    try:
        read = DictAction._parse_iterable(text)
    except AssertionError:
        read = None
    if not same(read, value):
        raise ConfigError(
            f"{key} is {value!r}, which --cfg-options cannot express (it would be read as "
            f"{read!r}); put it into a config file of its own and name that in the matrix: "
            f"{{config: FILE}}"
        )
    return text


def _write(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_write, value)) + "]"
    return str(value)
