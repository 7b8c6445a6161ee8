"""A number and how it was made: results with passports, their file, and whether they compare.

A passport is a flat dict of plain values: `protocol` (name and version of the definition),
`samples`, `value_range`, `resize`, `layers`, `weights_sha256`, `seed`, `file_format`, `image_size`,
whatever applies. `data` and `library` are told for the reader; all else has to be equal in two
results of one metric before they may stand side by side.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.files import write_json

FORMAT = 1
INFORMATIVE = ("data", "library")
"""Fields of a passport in which comparable results may differ."""
ABSENT = "not told"


@dataclass(frozen=True)
class Result:
    """A metric's value and its passport."""

    value: float
    passport: Mapping[str, Any] = field(default_factory=dict)


def results_of(metrics: Iterable[Any], values: Mapping[str, Any]) -> dict[str, Result]:
    """Results of an evaluation.

    Args:
        metrics: the evaluator's metrics, after their evaluation. One that is no `MeasuredMetric`
            tells no passport: its values get one that names the protocol as unknown.
        values: what the evaluator returned.
    """
    passports: dict[str, Mapping[str, Any]] = {}
    for metric in metrics:
        if hasattr(metric, "passports"):
            passports.update(metric.passports())
    unknown = {"protocol": "unknown"}
    return {
        name: Result(float(value), passports.get(name, unknown)) for name, value in values.items()
    }


def write_results(path: str | os.PathLike[str], results: Mapping[str, Result]) -> Path:
    """Write results as JSON, whole or not at all.

    Raises:
        ConfigError: the place cannot be written.
        TypeError: a passport holds what is no plain value.
    """
    metrics = {
        name: {"value": float(result.value), "passport": dict(result.passport)}
        for name, result in results.items()
    }
    return write_json(path, {"format": FORMAT, "metrics": metrics})


def read_results(path: str | os.PathLike[str]) -> dict[str, Result]:
    """Results that `write_results` wrote.

    Raises:
        DataError: the file is missing, is not JSON, or holds something else.
    """
    again = "write it anew with tools/test.py or tools/evaluate.py"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"metrics file {path} cannot be read: {error.strerror or error}; {again}"
        ) from error
    except ValueError as error:
        raise DataError(f"metrics file {path} is no JSON ({error}); {again}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise DataError(
            f"metrics file {path} has the format {found!r}; allowed is {FORMAT}, with a passport "
            f"beside each value; {again}"
        )
    try:
        return {
            str(name): Result(float(entry["value"]), dict(entry["passport"]))
            for name, entry in content["metrics"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"metrics file {path} holds no metrics of the form {{name: {{value, passport}}}} "
            f"({type(error).__name__}: {error}); {again}"
        ) from error


def check_comparable(results_by_run: Mapping[str, Mapping[str, Result]]) -> None:
    """Make sure that values of one metric were made in one way.

    Args:
        results_by_run: results by metric, by the name of the run; runs may lack metrics.

    Raises:
        ConfigError: passports of a metric differ; names the metric, the field, and both runs with
            their values.
    """
    first: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for run, results in results_by_run.items():
        for metric, result in results.items():
            known, before = first.setdefault(metric, (run, result.passport))
            for name in sorted({*before, *result.passport} - {*INFORMATIVE}):
                ours, theirs = (_plain(p.get(name, ABSENT)) for p in (before, result.passport))
                if ours != theirs:
                    raise ConfigError(
                        f"results of {metric} cannot be compared: {name} is {ours!r} in {known} "
                        f"and {theirs!r} in {run}; measure both in the same way, or leave "
                        f"{metric} out"
                    )


def _plain(value: Any) -> Any:
    """As JSON gives it back: a tuple becomes a list."""
    return list(value) if isinstance(value, tuple) else value
