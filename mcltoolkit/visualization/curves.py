"""Loss and metric curves from the scalars that mmengine's local backend writes.

The backend writes `WORK_DIR/TIMESTAMP/vis_data/scalars.json`: one JSON object a line, with `step`
and the scalars of that step. Every run and every resume has a file of its own.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mcltoolkit.errors import DataError

BOOKKEEPING = frozenset({"step", "iter", "epoch", "time", "data_time", "memory", "eta"})
COLOURS = ("#3d7fc1", "#d9822b", "#2f9e77", "#b1599c", "#8a7a3c")
# Grey that reads on white and on black, since the report's SVGs are transparent.
MUTED = "#7d8590"
MAX_POINTS = 400
FEW = 25
LOG_RATIO = 30


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
    oldest first, a later one (a resumed run) replaces what earlier ones hold from its first step.

    Raises:
        DataError: a file that cannot be read, or another line that is not a JSON object.
    """
    listed = [files] if isinstance(files, str | os.PathLike) else list(files)
    merged: dict[str, Series] = {}
    for file in listed:
        for name, later in _read_file(Path(file)).items():
            series = merged.setdefault(name, Series())
            keep = sum(step < later.steps[0] for step in series.steps)
            series.steps[keep:] = later.steps
            series.values[keep:] = later.values
    return merged


def group_scalars(names: Sequence[str]) -> dict[str, list[str]]:
    """Panel titles and the scalars drawn in each: the loss, each loss term (generator and
    discriminator together), then metrics with those that begin with their name (`psnr`,
    `psnr_untrained`). Bookkeeping and learning rates are left out."""
    kept = [
        name
        for name in names
        if name.split("/")[-1] not in BOOKKEEPING
        and name.split("/")[-1] != "lr"
        and not name.endswith("_lr")
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
        heads = [other for other in kept if name == other or name.startswith(other + "_")]
        groups.setdefault(min(heads, key=len), []).append(name)
    return groups


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


def draw_curves(scalars: dict[str, Series], file_format: str = "png", columns: int = 3) -> bytes:
    """All panels in one figure, as the content of a PNG (white) or SVG file.

    Raises:
        DataError: nothing to draw.
    """
    groups = group_scalars(list(scalars))
    if not groups:
        raise DataError("no scalars to draw; log at least one loss or metric")
    rows = math.ceil(len(groups) / columns)
    columns = min(columns, len(groups))
    figure = Figure(figsize=(3.6 * columns, 2.5 * rows), layout="constrained", dpi=110)
    for index, (title, names) in enumerate(groups.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(title.replace("_", " "), loc="left", fontsize=10, fontweight="bold")
        _draw(axes, title, {name: scalars[name] for name in names})
    return _render(figure, file_format, transparent=file_format == "svg")


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
        if step is None or not _is_number(step):
            continue
        for name, value in entry.items():
            if name != "step" and _is_number(value):
                series = scalars.setdefault(name, Series())
                series.steps.append(float(step))
                series.values.append(float(value))
    return scalars


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _draw(axes: Axes, title: str, group: dict[str, Series]) -> None:
    main: list[float] = []
    several = len(group) > 1
    for (name, series), colour in zip(group.items(), COLOURS * len(group), strict=False):
        many = len(series.values) > FEW
        thick = smooth(series.values, len(series.values) // 30) if many else series.values
        every = max(1, math.ceil(len(thick) / MAX_POINTS))
        at = sorted({*range(0, len(thick), every), len(thick) - 1})
        steps = [series.steps[i] for i in at]
        if many:
            raw = [series.values[i] for i in at]
            axes.plot(steps, raw, color=colour, alpha=0.28, linewidth=0.8)
        axes.plot(
            steps,
            [thick[i] for i in at],
            color=colour,
            linewidth=1.7,
            marker="" if many else "o",
            markersize=3,
            label=_label(name, title),
        )
        main += [value for value in thick if math.isfinite(value)]
    if main and min(main) > 0 and max(main) / min(main) > LOG_RATIO:
        axes.set_yscale("log")
    elif main:
        axes.yaxis.set_major_locator(MaxNLocator(4))
        low, high = min(main), max(main)
        room = 0.25 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_ylim(low - room if low < 0 else max(low - room, -0.02 * high), high + room)
    broken = sum(not math.isfinite(v) for series in group.values() for v in series.values)
    if broken:
        note = f"{broken} values not finite"
        axes.text(0.98, 0.95, note, transform=axes.transAxes, ha="right", va="top",
                  color="#d64545", fontsize=8)  # fmt: skip
    if several:
        axes.legend(fontsize=8, frameon=False, labelcolor=MUTED, handlelength=1.2, ncols=3,
                    loc="upper left", bbox_to_anchor=(-0.06, -0.14), columnspacing=1.2)  # fmt: skip
    else:
        axes.set_xlabel("step", fontsize=8, color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlim(left=0)
    axes.tick_params(which="both", colors=MUTED, labelsize=8, length=0)
    axes.grid(color=MUTED, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def _label(name: str, title: str) -> str:
    if name.startswith("loss_"):
        return "discriminator" if name.startswith("loss_d_") else "generator"
    return name.removeprefix(title).strip("_").replace("_", " ") or "output"


def _render(figure: Figure, file_format: str, transparent: bool = True) -> bytes:
    buffer = io.BytesIO()
    # A fixed salt and no date: the same scalars give the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "mcltoolkit"}):
        metadata = {"Date": None} if file_format == "svg" else None
        figure.savefig(buffer, format=file_format, transparent=transparent, metadata=metadata)
    return buffer.getvalue()
