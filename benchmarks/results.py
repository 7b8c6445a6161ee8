"""Files of results: written after each case, so that a stopped run goes on where it was.

    {"format": 1, "machine": {...}, "versions": {...}, "settings": {...},
     "cases": {NAME: {"group", "setting", "operations", "rates", "plain", "fast", "ratios", ...}}}

The ratios, fast over plain, are what can be carried from machine to machine, and what
`compare.py` reads: `time` and `cpu_time` are medians over rounds in which both forms took turns,
`memory` is the ratio of what each holds beyond its inputs.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.files import write_json

FORMAT = 1
SAME = ("machine", "settings")
# a peak is read in pages, and threads have buffers of their own: less is no figure to divide by
LEAST_MB = 4.0


def read_results(path: str | Path) -> dict[str, Any]:
    """The content of a file of results, or of stored ratios.

    Raises:
        ConfigError: no such file.
        DataError: it is something else.
    """
    try:
        found = json.loads(Path(path).read_text())
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}; write it with python benchmarks/run.py --out"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}; run the benchmarks again") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or "cases" not in found:
        raise DataError(
            f"{path} is no file of benchmark results of format {FORMAT}; write one with python "
            f"benchmarks/run.py --out FILE"
        )
    return found


def begin(path: Path, facts: Mapping[str, Any], again: bool) -> dict[str, Any]:
    """Results to add to: those of the file if it has any, of the same machine and settings.

    Args:
        facts: `machine`, `versions`, `settings`.
        again: start anew.

    Raises:
        ConfigError: the file is from another machine, or was made with other settings.
    """
    fresh = {"format": FORMAT, **facts, "cases": {}}
    if again or not path.exists():
        return fresh
    old = read_results(path)
    for field in SAME:
        theirs, ours = old.get(field, {}), facts[field]
        for name in sorted({*theirs, *ours}):
            if theirs.get(name) != ours.get(name):
                raise ConfigError(
                    f"{path} was made with {field}.{name} {theirs.get(name)!r}, this run has "
                    f"{ours.get(name)!r}; choose another --out, or start anew with --again"
                )
    return {**fresh, "cases": old["cases"]}


def save(path: Path, results: Mapping[str, Any]) -> None:
    """Write the file whole."""
    write_json(path, results)


def ratios(case: Mapping[str, Any]) -> dict[str, float]:
    """Fast over plain of a case's figures, as far as both were measured."""
    plain, fast = case.get("plain", {}), case.get("fast", {})
    found = {}
    for kind, name in (("seconds", "time"), ("cpu_seconds", "cpu_time")):
        pairs = list(zip(fast.get(kind, ()), plain.get(kind, ()), strict=False))
        if pairs and all(theirs > 0 for _, theirs in pairs):
            each = sorted(ours / theirs for ours, theirs in pairs)
            found[name] = statistics.median(each)
            found[f"{name}_spread"] = _spread(each)
    if plain.get("memory_mb", 0) >= LEAST_MB and "memory_mb" in fast:
        found["memory"] = max(fast["memory_mb"], 0.0) / plain["memory_mb"]
    return {name: round(value, 4) for name, value in found.items()}


def _spread(each: list[float]) -> float:
    """Half the distance of the quartiles, of the median: how uncertain a single round is."""
    if len(each) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(each, n=4, method="inclusive")
    return (high - low) / 2 / middle


def filled(page: str, made: Mapping[str, str]) -> str:
    """The page with its tables in place.

    Raises:
        ConfigError: it lacks the place of one.
    """
    for name, table in made.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(page):
            raise ConfigError(f"the page has no place <!-- {name} --> ... <!-- end -->; add it")
        page = place.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", page)
    return page
