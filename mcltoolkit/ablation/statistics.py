"""Means over seeds, and paired differences to the reference row."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mcltoolkit.ablation.matrix import Matrix
from mcltoolkit.ablation.plan import Run
from mcltoolkit.ablation.results import Result

SPREAD = "sample standard deviation over seeds (n - 1 in the denominator)"


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of n values; None where n is too small for it."""

    mean: float | None
    std: float | None
    n: int


@dataclass(frozen=True)
class Cell:
    """One metric of a row in a group.

    Attributes:
        values: by seed, of the finished runs.
        spread: of the values.
        difference: of value minus the reference row's value, over the seeds that both have; None
            for the reference row itself.
    """

    values: Mapping[int, float]
    spread: Spread
    difference: Spread | None


Table = dict[tuple[str, str, str], Cell]
"""(group, row, `EVALUATION/METRIC`) -> cell."""


def spread(values: Iterable[float]) -> Spread:
    """Mean and sample standard deviation."""
    values = list(values)
    return Spread(
        statistics.fmean(values) if values else None,
        statistics.stdev(values) if len(values) > 1 else None,
        len(values),
    )


def paired_difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Spread:
    """Spread of value minus reference, over the seeds that both have."""
    return spread(values[seed] - reference[seed] for seed in values if seed in reference)


def tabulate(matrix: Matrix, results: Sequence[tuple[Run, Result | None]]) -> Table:
    """The cells of all rows, groups and metrics; unfinished runs count nothing."""
    table: Table = {}
    for group in matrix.groups:
        for column in matrix.columns:
            values = {
                row.name: {
                    run.seed: result.metrics[column.name]
                    for run, result in results
                    if result is not None
                    and (run.row, run.group) == (row.name, group.name)
                    and column.name in result.metrics
                }
                for row in matrix.rows
            }
            for name, found in values.items():
                table[group.name, name, column.name] = Cell(
                    found,
                    spread(found.values()),
                    None
                    if name == matrix.reference
                    else paired_difference(found, values[matrix.reference]),
                )
    return table
