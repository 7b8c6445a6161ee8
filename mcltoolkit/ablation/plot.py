"""The results as a picture: a panel a metric, a dot a seed, a bar at the mean."""

from __future__ import annotations

import io
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mcltoolkit.ablation.matrix import Column, Matrix
from mcltoolkit.ablation.statistics import Table
from mcltoolkit.ablation.table import ARROWS, published_value
from mcltoolkit.visualization.curves import COLOURS, MUTED

INK = "#1d2329"
LANE = 0.8
"""Share of a row's height that its groups use."""


def draw(matrix: Matrix, table: Table) -> bytes:
    """The content of `table.png`."""
    count = len(matrix.columns)
    across = 2 if count == 4 else min(3, count)
    down = math.ceil(count / across)
    lanes = len(matrix.rows) * max(1.0, 0.6 * len(matrix.groups))
    figure = Figure(
        figsize=(1.6 + 3.1 * across, down * (0.75 + 0.3 * lanes) + 0.5),
        layout="constrained",
        dpi=130,
    )
    for index, column in enumerate(matrix.columns):
        axes = figure.add_subplot(down, across, index + 1)
        _panel(axes, matrix, table, column, names=index % across == 0)
    handles = _legend(matrix, table)
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False,
                  fontsize=8, labelcolor=MUTED, handletextpad=0.4, columnspacing=1.6)  # fmt: skip
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _panel(axes: Axes, matrix: Matrix, table: Table, column: Column, names: bool) -> None:
    width = LANE / len(matrix.groups)
    for lane, group in enumerate(matrix.groups):
        colour = COLOURS[lane % len(COLOURS)]
        shift = (lane - (len(matrix.groups) - 1) / 2) * width
        reference = table[group.name, matrix.reference, column.name].spread.mean
        if reference is not None and math.isfinite(reference):
            axes.axvline(reference, color=colour, alpha=0.45, linewidth=0.9, dashes=(4, 3))
        for place, row in enumerate(matrix.rows):
            cell = table[group.name, row.name, column.name]
            values = [value for value in cell.values.values() if math.isfinite(value)]
            at = place + shift
            axes.scatter(values, [at] * len(values), s=14, color=colour, alpha=0.55, linewidths=0)
            mean = cell.spread.mean
            if mean is not None and math.isfinite(mean):
                half = 0.38 * width
                axes.plot([mean, mean], [at - half, at + half], color=colour, linewidth=2.4,
                          solid_capstyle="round")  # fmt: skip
    for place, row in enumerate(matrix.rows):
        known = published_value(matrix, column, row.name)
        if known is not None:
            axes.plot([known], [place], marker="D", markersize=4.5, color=INK, fillstyle="none",
                      linestyle="")  # fmt: skip
        if place:
            axes.axhline(place - 0.5, color=MUTED, alpha=0.18, linewidth=0.6)
    axes.set_title(f"{column.label} {ARROWS[column.better]}", loc="left", fontsize=10,
                   fontweight="bold", color=INK)  # fmt: skip
    axes.set_ylim(len(matrix.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(matrix.rows)), [row.name for row in matrix.rows] if names else [])
    axes.tick_params(which="both", length=0, labelsize=8, colors=MUTED)
    axes.tick_params(axis="y", labelsize=9, colors=INK)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="x", color=MUTED, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.margins(x=0.08)


def _legend(matrix: Matrix, table: Table) -> list[Line2D]:
    first = COLOURS[0] if len(matrix.groups) == 1 else MUTED
    handles = [
        Line2D([], [], color=first, marker="o", markersize=3.5, alpha=0.6, linestyle="",
               label="one seed"),
        Line2D([], [], color=first, marker="|", markersize=10, markeredgewidth=2.2, linestyle="",
               label="mean"),
        Line2D([], [], color=first, alpha=0.6, linewidth=0.9, dashes=(4, 3),
               label=f"mean of {matrix.reference}"),
    ]  # fmt: skip
    if len(matrix.groups) > 1:
        handles += [
            Line2D([], [], color=COLOURS[lane % len(COLOURS)], linewidth=2.4, label=group.name)
            for lane, group in enumerate(matrix.groups)
        ]
    if any(
        published_value(matrix, column, row.name) is not None
        for column in matrix.columns
        for row in matrix.rows
    ):
        handles.append(
            Line2D([], [], color=INK, marker="D", fillstyle="none", markersize=4.5, linestyle="",
                   label="published")
        )  # fmt: skip
    return handles
