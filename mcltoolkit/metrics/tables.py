"""Results as tables on a terminal: one evaluation with passports, or several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from mcltoolkit.metrics.results import Result, check_comparable


def results_table(results: Mapping[str, Result]) -> Table:
    """Each metric's value and passport; what all passports share stands once, below."""
    passports = [result.passport for result in results.values()]
    shared = {
        field: value
        for field, value in (passports[0] if passports else {}).items()
        if all(passport.get(field) == value for passport in passports)
    }
    table = Table("metric", "value", "passport", caption=_told(shared), caption_justify="left")
    for name, result in sorted(results.items()):
        own = {field: v for field, v in result.passport.items() if field not in shared}
        table.add_row(escape(name), _number(result.value), _told(own))
    return table


def comparison_table(results_by_run: Mapping[str, Mapping[str, Result]]) -> Table:
    """One row a metric, one column a run.

    Raises:
        ConfigError: passports of a metric differ.
    """
    check_comparable(results_by_run)
    table = Table("metric", *map(escape, results_by_run))
    metrics = sorted({name for results in results_by_run.values() for name in results})
    for name in metrics:
        values = [
            _number(results[name].value) if name in results else "-"
            for results in results_by_run.values()
        ]
        table.add_row(escape(name), *values)
    return table


def _told(fields: Mapping[str, Any]) -> str:
    """For rich, which would take brackets in a path for its markup."""
    return escape("; ".join(f"{field}: {value}" for field, value in fields.items()))


def _number(value: float) -> str:
    return f"{value:.4f}"
