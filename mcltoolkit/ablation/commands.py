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
    scripts = {job: str(tools / f"{launcher}_{job}.sh") for job in ("train", "test")}
    places = [
        word for key, value in run.places.items() for word in (f"--{key.replace('_', '-')}", value)
    ]

    def start(job: str, target: list[str], options: Mapping[str, Any], *words: str) -> str:
        target = [shlex.quote(str(run.config)), *target]
        if launcher == "dist":
            head = [shlex.quote(scripts[job]), *target, str(gpus)]
        else:
            head = ["env", f"GPUS={gpus}", shlex.quote(scripts[job]), shlex.quote(partition)]
            head += [f"{run.stem}-{job}", *target]
        tail = ["--work-dir", str(run.train_dir), *words, *places, *_cfg_options(options)]
        return " ".join([*head, shlex.join(tail)])

    # the training writes the path of its last checkpoint into this file
    checkpoint = f'"$(cat {shlex.quote(str(run.train_dir / "last_checkpoint"))})"'
    parts = [start("train", [], run.options)]
    for evaluation in run.evaluations:
        options = {**run.options, **evaluation.options}
        parts.append(start("test", [checkpoint], options, "--out", str(evaluation.folder)))
    return " && \\\n  ".join(parts)


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
