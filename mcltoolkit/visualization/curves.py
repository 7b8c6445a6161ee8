"""Loss and metric curves from the scalars of a training."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mcltoolkit.errors import DataError
from mcltoolkit.visualization.scalars import ALARM, Series, group_scalars

COLOURS = ("#3d7fc1", "#d9822b", "#2f9e77", "#b1599c", "#8a7a3c")
# Grey that reads on white and on black, since the report's SVGs are transparent.
MUTED = "#7d8590"
MAX_POINTS = 400
FEW = 25
LOG_RATIO = 30
DRAWN_BELOW = 1e100
"""Magnitude from which a value counts as not finite: its axis could not be computed."""


def smooth(values: Sequence[float], reach: int) -> list[float]:
    """Mean over each value and up to `reach` neighbours on either side; values that are not
    finite are passed over.

    At the start, where losses fall steeply, the window shrinks on both sides alike, so that the
    fall is not bent. At the end it is only cut, so that the last value alone decides nothing.
    """
    array = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(array)
    sums = np.concatenate([[0.0], np.where(finite, array, 0.0).cumsum()])
    counts = np.concatenate([[0], finite.cumsum()])
    at = np.arange(len(array))
    half = np.minimum(at, reach)
    first, last = at - half, np.minimum(at + half + 1, len(array))
    number = counts[last] - counts[first]
    means = (sums[last] - sums[first]) / np.maximum(number, 1)
    return [float(v) for v in np.where(number > 0, means, np.nan)]


def curve_panels(scalars: dict[str, Series]) -> list[tuple[str, bytes]]:
    """(title, SVG) of each panel, transparent and without title, for a page to lay out."""
    panels = []
    for title, names in group_scalars(list(scalars)).items():
        figure = Figure(figsize=(3.6, 2.2), layout="constrained")
        _draw(figure.add_subplot(), title, {name: scalars[name] for name in names})
        panels.append((title.replace("_", " "), _render(figure, "svg")))
    return panels


def comparison_panels(runs: dict[str, dict[str, Series]]) -> list[tuple[str, bytes]]:
    """(title, SVG) of each scalar that at least two runs logged, one line a run: running means, so
    that the lines can be told apart."""
    names = dict.fromkeys(name for scalars in runs.values() for name in scalars)
    shared = [name for name in names if sum(name in scalars for scalars in runs.values()) > 1]
    panels = []
    for title, members in group_scalars(shared).items():
        for name in members:
            figure = Figure(figsize=(3.6, 2.4), layout="constrained")
            lines = {run: scalars[name] for run, scalars in runs.items() if name in scalars}
            _draw(figure.add_subplot(), title, lines, runs=True)
            panels.append((name.removeprefix("loss_").replace("_", " "), _render(figure, "svg")))
    return panels


def draw_curves(
    scalars: dict[str, Series], file_format: str = "png", columns: int = 3, paper: bool = False
) -> bytes:
    """All panels in one figure, as the content of a PNG (white) or SVG file.

    Args:
        paper: white ground for an SVG too, which is transparent otherwise.

    Raises:
        DataError: nothing to draw.
    """
    groups = group_scalars(list(scalars))
    if not groups:
        raise DataError("no scalars to draw; log at least one loss or metric")
    rows = math.ceil(len(groups) / columns)
    columns = min(columns, len(groups))
    width, height = 3.6 * columns, 2.6 * rows
    figure = Figure(figsize=(width, height), dpi=110)
    # Fixed margins, in inches: a computed layout would draw every text twice, at every validation.
    figure.subplots_adjust(
        left=0.55 / width, right=1 - 0.15 / width, bottom=0.6 / height, top=1 - 0.35 / height,
        wspace=0.24, hspace=0.6,
    )  # fmt: skip
    for index, (title, names) in enumerate(groups.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(title.replace("_", " "), loc="left", fontsize=10, fontweight="bold")
        _draw(axes, title, {name: scalars[name] for name in names})
    return _render(figure, file_format, transparent=file_format == "svg" and not paper)


def _draw(
    axes: Axes,
    title: str,
    group: dict[str, Series],
    runs: bool = False,
) -> None:
    """Draw lines, called by what their names tell beyond the title; of `runs`, whose names are
    those of the lines, the values as logged are left out."""
    main: list[float] = []
    several, broken = len(group) > 1, 0
    for (name, series), colour in zip(group.items(), COLOURS * len(group), strict=False):
        values = [v if abs(v) < DRAWN_BELOW else math.nan for v in series.values]
        broken += sum(math.isnan(v) for v in values)
        many = len(values) > FEW
        thick = smooth(values, len(values) // 30) if many else values
        every = max(1, math.ceil(len(thick) / MAX_POINTS))
        at = sorted({*range(0, len(thick), every), len(thick) - 1})
        steps = [series.steps[i] for i in at]
        if many and not runs:
            raw = [values[i] for i in at]
            axes.plot(steps, raw, color=colour, alpha=0.28, linewidth=0.8)
        axes.plot(
            steps,
            [thick[i] for i in at],
            color=colour,
            linewidth=1.7,
            marker="" if many else "o",
            markersize=3,
            label=name if runs else _label(name, title, group),
        )
        main += [value for value in thick if math.isfinite(value)]
    if main and min(main) > 0 and max(main) / min(main) > LOG_RATIO:
        axes.set_yscale("log")
    elif main:
        axes.yaxis.set_major_locator(MaxNLocator(4))
        low, high = min(main), max(main)
        room = 0.25 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_ylim(low - room if low < 0 else max(low - room, -0.02 * high), high + room)
    if broken:
        note = f"{broken} values not finite"
        axes.text(0.98, 0.95, note, transform=axes.transAxes, ha="right", va="top",
                  color="#d64545", fontsize=8)  # fmt: skip
    if several:
        axes.legend(fontsize=8, frameon=False, labelcolor=MUTED, handlelength=1.2,
                    ncols=1 if runs else 3,
                    loc="upper left", bbox_to_anchor=(-0.06, -0.14), columnspacing=1.2)  # fmt: skip
    else:
        axes.set_xlabel("step", fontsize=8, color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlim(left=0)
    axes.tick_params(which="both", colors=MUTED, labelsize=8, length=0)
    axes.grid(color=MUTED, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def _label(name: str, title: str, group: Iterable[str]) -> str:
    if name.startswith("loss_"):
        return "discriminator" if name.startswith("loss_d_") else "generator"
    if name.startswith(ALARM):
        return "training"
    own = "validation" if any(other.startswith(ALARM) for other in group) else "output"
    return name.removeprefix(title).strip("_").replace("_", " ") or own


def _render(figure: Figure, file_format: str, transparent: bool = True) -> bytes:
    buffer = io.BytesIO()
    # A fixed salt and no date: the same scalars give the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "mcltoolkit"}):
        metadata = {"Date": None} if file_format == "svg" else None
        figure.savefig(buffer, format=file_format, transparent=transparent, metadata=metadata)
    return buffer.getvalue()
