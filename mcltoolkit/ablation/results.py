"""What a work directory holds of a run, and why a run has to be run (again)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcltoolkit.ablation.matrix import slug
from mcltoolkit.ablation.plan import Evaluation, Run
from mcltoolkit.ablation.settings import differences, training_part, write_difference
from mcltoolkit.engine.checkpoints import latest_checkpoint
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics.results import Result as Measured
from mcltoolkit.metrics.results import read_results

NOT_RUN = "not run yet"


@dataclass(frozen=True)
class Result:
    """Metrics of a finished run by `EVALUATION/METRIC`, how it was made, and how they were."""

    metrics: dict[str, float]
    steps: int | None = None
    train_seconds: float | None = None
    passports: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class State:
    """Where a run stands: `finished`, `failed` or `to do`, and why in words."""

    kind: str
    why: str = ""
    result: Result | None = field(default=None, repr=False)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object a JSON file holds; None where there is no such file or no such object."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def measured_in(path: Path) -> dict[str, Measured] | None:
    """What a `metrics.json` holds; None where there is none in today's format."""
    try:
        return read_results(path)
    except DataError:
        return None


def read_result(run: Run) -> Result | None:
    """The result of a run, or None if it is not finished.

    A run that was started by hand (the printed commands) has no `result.json`, but the metrics of
    all its evaluations.
    """
    told = read_json(run.result_file) or {}
    metrics: dict[str, float] = {}
    passports: dict[str, Mapping[str, Any]] = {}
    for evaluation in run.evaluations:
        measured = measured_in(evaluation.metrics_file)
        if measured is None:
            return None
        for name, found in measured.items():
            metrics[f"{evaluation.name}/{name}"] = found.value
            passports[f"{evaluation.name}/{name}"] = found.passport
    return Result(metrics, told.get("steps"), told.get("train_seconds"), passports)


def failure_file(run: Run) -> Path:
    """Where a failed run leaves its last words."""
    return run.folder / "failed.json"


def state(run: Run) -> State:
    """Where a run stands."""
    result = read_result(run)
    if result is not None:
        return State("finished", result=result)
    failure = read_json(failure_file(run))
    if failure is not None and "error" in failure:
        return State("failed", f"{failure['error']} (log: {run.log_file})")
    return State("to do", _why(run))


def trained(run: Run) -> dict[str, Any] | None:
    """What the run wrote when its training ended; None before, or if the weights are gone."""
    told = read_json(run.folder / "trained.json")
    name = (told or {}).get("checkpoint")
    return told if isinstance(name, str) and (run.train_dir / name).is_file() else None


def _why(run: Run) -> str:
    if trained(run) is not None:
        missing = [e for e in run.evaluations if measured_in(e.metrics_file) is None]
        return "; ".join(_why_test(run, evaluation) for evaluation in missing)
    try:
        newest = Path(latest_checkpoint(run.train_dir)).stem
        return f"was interrupted, goes on from {newest}"
    except ConfigError:
        pass
    if run.train_dir.is_dir():
        return "was interrupted before its first checkpoint, starts again"
    changed = _changes(run.folder, f"{run.stem}-*", training_part(run.settings))
    return f"changed: {changed}" if changed else NOT_RUN


def _why_test(run: Run, evaluation: Evaluation) -> str:
    pattern = f"{slug(evaluation.name)}-*"
    changed = _changes(evaluation.folder, pattern, evaluation.settings)
    return f"test {evaluation.name}: " + (f"changed: {changed}" if changed else NOT_RUN)


def _changes(folder: Path, pattern: str, settings: dict[str, Any], most: int = 3) -> str:
    """How `settings` differ from those of the newest folder of that pattern beside `folder`."""
    files = [f for f in folder.parent.glob(f"{pattern}/settings.json") if f.parent != folder]
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    before = read_json(newest) if newest else None
    if before is None:
        return ""
    found = differences(before, settings)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(map(write_difference, found[:most])) + more
