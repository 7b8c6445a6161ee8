"""The results as files: `table.md` to read, `table.csv` by run, `summary.csv` by row."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from mcltoolkit.ablation.matrix import Column, Matrix
from mcltoolkit.ablation.plan import Run
from mcltoolkit.ablation.published import PublishedTable
from mcltoolkit.ablation.results import State
from mcltoolkit.ablation.settings import differences, write_difference
from mcltoolkit.ablation.statistics import SPREAD, Spread, Table

NOTHING = "–"  # noqa: RUF001
ARROWS = {"higher": "↑", "lower": "↓"}
MOST_DIFFERENCES = 20

States = Sequence[tuple[Run, State]]


def markdown(matrix: Matrix, states: States, table: Table) -> str:
    """The text of `table.md`."""
    parts = [f"# Ablation {matrix.path.name}", _introduction(matrix, states)]
    for group in matrix.groups:
        of_group = [(run, state) for run, state in states if run.group == group.name]
        parts += [
            f"## {_heading('Results', group.name)}",
            _results(matrix, of_group, table, group.name),
            f"## {_heading(f'Difference to `{matrix.reference}`', group.name)}",
            _paired(matrix, table, group.name),
        ]
    parts += ["## What each row changes", _changes(matrix, [run for run, _ in states])]
    if matrix.published is not None:
        parts += ["## Published", _published(matrix, matrix.published)]
    failed = [(run, state) for run, state in states if state.kind == "failed"]
    if failed:
        lines = [f"- **{run.title}**: {state.why}" for run, state in failed]
        parts += ["## Failed runs", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def runs_csv(matrix: Matrix, states: States) -> str:
    """The text of `table.csv`: a line a run."""
    header = ["row", "group", "seed", "state", *(column.name for column in matrix.columns),
              "steps", "train_seconds", "folder"]  # fmt: skip
    lines = []
    for run, state in states:
        result = state.result
        metrics = result.metrics if result else {}
        values = [metrics.get(column.name) for column in matrix.columns]
        made = [result.steps, result.train_seconds] if result else [None, None]
        lines.append([run.row, run.group, run.seed, state.kind, *values, *made, run.folder.name])
    return _csv(header, lines)


def summary_csv(matrix: Matrix, table: Table) -> str:
    """The text of `summary.csv`: a line a row, group and metric."""
    header = ["row", "group", "metric", "label", "better", "mean", "std", "n", "difference_mean",
              "difference_std", "difference_n", "published"]  # fmt: skip
    lines = []
    for (group, row, name), cell in table.items():
        column = next(column for column in matrix.columns if column.name == name)
        other = cell.difference or Spread(None, None, 0)
        lines.append(
            [
                *(row, group, name, column.label, column.better),
                *(cell.spread.mean, cell.spread.std, cell.spread.n),
                *(other.mean, other.std, other.n if cell.difference else None),
                published_value(matrix, column, row),
            ]
        )
    return _csv(header, lines)


def published_value(matrix: Matrix, column: Column, row: str) -> float | None:
    """The published number of a row and metric, if there is one."""
    if matrix.published is None or column.published is None:
        return None
    return matrix.published.rows.get(row, {}).get(column.published)


def write_spread(value: Spread, decimals: int, sign: str = "") -> str:
    """`mean ± std`, the mean alone where there is one value, a dash where there is none."""
    if value.mean is None:
        return NOTHING
    mean = _number(value.mean, decimals, sign)
    return mean if value.std is None else f"{mean} ± {_number(value.std, decimals)}"


def _introduction(matrix: Matrix, states: States) -> str:
    finished = sum(state.kind == "finished" for _, state in states)
    seeds = ", ".join(map(str, matrix.seeds))
    return (
        f"Base config `{matrix.base.name}`, seeds {seeds}; {finished} of {len(states)} runs are "
        f"finished. Values are mean ± {SPREAD}, on the same held-out samples for every run; a "
        f"value without ± comes from one seed. ↑ higher is better, ↓ lower is better."
    )


def _heading(text: str, group: str) -> str:
    return f"{text}: {group}" if group else text


def _results(matrix: Matrix, states: States, table: Table, group: str) -> str:
    header = ["", "runs"]
    for column in matrix.columns:
        header.append(_label(column))
        if column.published:
            header.append(f"{column.label}, published")
    lines = []
    for row in matrix.rows:
        own = [state for run, state in states if run.row == row.name]
        finished = sum(state.kind == "finished" for state in own)
        failed = sum(state.kind == "failed" for state in own)
        count = str(finished) if finished == len(own) else f"{finished} of {len(own)}"
        line = [row.name, f"{count}, {failed} failed" if failed else count]
        for column in matrix.columns:
            line.append(write_spread(table[group, row.name, column.name].spread, column.decimals))
            if column.published:
                value = published_value(matrix, column, row.name)
                line.append(NOTHING if value is None else _number(value, column.decimals))
        lines.append(line)
    return _table(header, lines)


def _paired(matrix: Matrix, table: Table, group: str) -> str:
    lines = []
    for row in matrix.rows:
        if row.name != matrix.reference:
            cells = [table[group, row.name, column.name] for column in matrix.columns]
            found = [cell.difference or Spread(None, None, 0) for cell in cells]
            texts = [
                write_spread(value, column.decimals, "+")
                for value, column in zip(found, matrix.columns, strict=True)
            ]
            lines.append([row.name, str(max((value.n for value in found), default=0)), *texts])
    words = (
        f"The row's value minus that of `{matrix.reference}` with the same seed: mean ± sample "
        f"standard deviation of these differences."
    )
    return words + "\n\n" + _table(["", "pairs", *map(_label, matrix.columns)], lines)


def _changes(matrix: Matrix, runs: Sequence[Run]) -> str:
    """Each row's settings against the reference row's, in the first group and with one seed."""
    first = {run.row: run for run in reversed(runs) if run.group == matrix.groups[0].name
             and run.seed == matrix.seeds[0]}  # fmt: skip
    lines = [
        f"Settings that differ from those of `{matrix.reference}`"
        + (f", in the group `{matrix.groups[0].name}`." if matrix.groups[0].name else ".")
    ]
    for row in matrix.rows:
        if row.name == matrix.reference:
            continue
        found = differences(first[matrix.reference].settings, first[row.name].settings)
        lines.append(f"\n**{row.name}**\n")
        lines += [f"- `{write_difference(item)}`" for item in found[:MOST_DIFFERENCES]]
        if len(found) > MOST_DIFFERENCES:
            lines.append(f"- and {len(found) - MOST_DIFFERENCES} more")
        if not found:
            lines.append("- nothing in this group")
    return "\n".join(lines)


def _published(matrix: Matrix, published: PublishedTable) -> str:
    """The rows that the paper has too, with its numbers and their distance to its full method."""
    full = published.rows[published.reference]
    lines = []
    for row in matrix.rows:
        if row.name in published.rows:
            line = [row.name]
            for key, column in published.columns.items():
                value, base = published.rows[row.name][key], full[key]
                text = NOTHING if value is None else _number(value, column.decimals)
                if value is not None and base is not None and row.name != published.reference:
                    text += f" ({_number(value - base, column.decimals, '+')})"
                line.append(text)
            lines.append(line)
    header = ["", *(f"{c.label} {ARROWS[c.better]}" for c in published.columns.values())]
    words = (
        f"{published.title}. {published.source}. {published.setting}. Not measured here; in "
        f"parentheses the difference to its `{published.reference}`."
    )
    return words + "\n\n" + _table(header, lines)


def _label(column: Column) -> str:
    return f"{column.label} {ARROWS[column.better]}"


def _number(value: float, decimals: int, sign: str = "") -> str:
    return f"{value:{sign}.{decimals}f}" if math.isfinite(value) else "not finite"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] + ["---:"] * (len(header) - 1), *lines]
    return "\n".join("| " + " | ".join(t.replace("|", "\\|") for t in row) + " |" for row in rows)


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()
