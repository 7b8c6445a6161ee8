"""Scalars of a training, as mmengine's local backend writes them, and what belongs together.

The backend writes `WORK_DIR/TIMESTAMP/vis_data/scalars.json`: one JSON object a line, with `step`
and the scalars of that step. Every run and every resume has a file of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcltoolkit.errors import DataError

ALARM = "alarm/"
BOOKKEEPING = frozenset({"step", "iter", "epoch", "time", "data_time", "memory", "eta"})


@dataclass
class Series:
    """One scalar over the steps; values may be infinite or not a number."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def find_scalars(work_dir: str | os.PathLike[str]) -> list[Path]:
    """The scalar files of all runs in a work folder, oldest first."""
    return sorted(Path(work_dir).glob("*/vis_data/scalars.json"))


def read_scalars(files: Files) -> dict[str, Series]:
    """Scalars by name, in the order of their first appearance.

    A last line that a killed process left unfinished is ignored. Where several files are given,
    oldest first, a later one (a resumed run) replaces all that earlier ones hold from its first
    step on, also scalars that it does not have itself.

    Raises:
        DataError: a file that cannot be read, or another line that is not a JSON object.
    """
    listed = [files] if isinstance(files, str | os.PathLike) else list(files)
    merged: dict[str, Series] = {}
    for file in listed:
        later = _read_file(Path(file))
        start = min((min(series.steps) for series in later.values()), default=math.inf)
        for series in merged.values():
            keep = sum(step < start for step in series.steps)
            del series.steps[keep:], series.values[keep:]
        for name, found in later.items():
            series = merged.setdefault(name, Series())
            series.steps += found.steps
            series.values += found.values
    return {name: series for name, series in merged.items() if series.steps}


def group_scalars(names: Sequence[str]) -> dict[str, list[str]]:
    """Panel titles and the scalars drawn in each: the loss, each loss term (generator and
    discriminator together), then metrics with those that begin with their name (`psnr`,
    `psnr_untrained`) and what the collapse alarm saw of them while training (`alarm/NAME`).
    Bookkeeping and learning rates are left out."""
    kept = [
        name
        for name in names
        if name.split("/")[-1] not in BOOKKEEPING and not re.search(r"(^|[/._])lr$", name)
    ]
    losses = [name for name in kept if name == "loss" or name.startswith("loss_")]
    terms = {name: name.removeprefix("loss_") for name in losses if name != "loss"}
    groups: dict[str, list[str]] = {"loss": ["loss"]} if "loss" in losses else {}
    generator_terms = set(terms.values())
    for name, term in terms.items():
        base = term.removeprefix("d_")
        shared = term.startswith("d_") and base in generator_terms
        groups.setdefault(base if shared else term, []).append(name)
    for name in kept:
        if name in losses:
            continue
        plain = name.removeprefix(ALARM)
        heads = [other for other in kept if plain == other or plain.startswith(other + "_")]
        groups.setdefault(min(heads, key=len, default=plain), []).append(name)
    return groups


def _read_file(path: Path) -> dict[str, Series]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"cannot read the scalars {path}: {error.strerror or error}; give the scalars.json of "
            f"a run (WORK_DIR/TIMESTAMP/vis_data/scalars.json)"
        ) from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    scalars: dict[str, Series] = {}
    for number, line in lines:
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                raise ValueError
        except ValueError as error:
            if number == lines[-1][0]:
                break
            raise DataError(
                f"{path}, line {number}: {line[:60]!r} is not a JSON object; give the "
                f"scalars.json that mmengine wrote, unchanged"
            ) from error
        step = entry.get("step", entry.get("iter"))
        if step is None or not _is_number(step) or not math.isfinite(_as_float(step)):
            continue
        for name, value in entry.items():
            if name != "step" and _is_number(value):
                series = scalars.setdefault(name, Series())
                series.steps.append(_as_float(step))
                series.values.append(_as_float(value))
    return scalars


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON knows integers of any length
        return math.inf if value > 0 else -math.inf
