"""Curves of time and memory against size: both axes logarithmic, plain and fast, named at their
ends. Drawn as the report draws its curves (`mcltoolkit.visualization.curves`)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from mcltoolkit.visualization.curves import COLOURS, MUTED

FORMS = {"plain": COLOURS[1], "fast": COLOURS[0]}
MEASURES = {"seconds": "time", "memory_mb": "extra memory"}
ALONG = {"grid": "positions N", "batch": "batch", "classes": "classes"}


@dataclass
class Series:
    """One curve a form and measure: {(form, measure): {place: value}}."""

    title: str
    along: str
    curves: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """A drawn pair of axes."""

    title: str
    svg: str


def series_of(results: Mapping[str, Any], group: str) -> list[Series]:
    """What can be drawn of a group: series of two measured places or more."""
    found: dict[tuple[str, str], Series] = {}
    for case in results["cases"].values():
        about = case.get("series")
        if case.get("group") != group or not about or "error" in case:
            continue
        key = (about["title"], about["along"])
        series = found.setdefault(key, Series(*key))
        place = about["value"] ** (2 if about["along"] == "grid" else 1)
        for form in FORMS:
            figures = case.get(form, {})
            for measure, name in (("seconds", "median_seconds"), ("memory_mb", "memory_mb")):
                if figures.get(name, 0) > 0:
                    series.curves.setdefault((form, measure), {})[place] = figures[name]
    return [s for s in found.values() if any(len(points) > 1 for points in s.curves.values())]


def curves(found: list[Series]) -> Iterator[Panel]:
    """Two panels a series: time and memory."""
    for series in found:
        for measure, name in MEASURES.items():
            lines = {form: series.curves.get((form, measure), {}) for form in FORMS}
            if not any(lines.values()):
                continue
            figure = Figure(figsize=(3.6, 2.5), layout="constrained")
            _draw(figure.add_subplot(), lines, series.along, measure)
            yield Panel(f"{series.title}: {name}", _svg(figure))


def _draw(axes: Axes, lines: Mapping[str, Mapping[int, float]], along: str, measure: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = {}
    for form, points in lines.items():
        places = sorted(points)
        values = [points[place] for place in places]
        if places:
            axes.plot(places, values, color=FORMS[form], linewidth=1.8, marker="o", markersize=4)
            ends[form] = (places[-1], values[-1])
    _name_ends(axes, ends)
    places = sorted({place for points in lines.values() for place in points})
    values = [value for points in lines.values() for value in points.values()]
    axes.set_xlim(places[0] / 1.25, places[-1] * (places[-1] / places[0]) ** 0.3)
    low, high = min(values) / 1.8, max(values) * 1.8
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _place(value, along)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(value, measure)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(ALONG[along], fontsize=9, color=MUTED)
    axes.tick_params(which="both", colors=MUTED, labelsize=9, length=0)
    axes.grid(color=MUTED, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def _name_ends(axes: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Names of the curves, right of their last points; apart where these lie close, and above a
    curve that ends before the other."""
    furthest = max(place for place, _ in ends.values())
    order = sorted(ends, key=lambda form: ends[form][1])
    near = len(ends) == 2 and ends[order[1]][1] < 1.6 * ends[order[0]][1]
    for index, form in enumerate(order):
        at, side = (6, (-6, 6)[index] if near else 0), "left"
        if ends[form][0] < furthest:
            at, side = (0, 11), "right"
        axes.annotate(form, ends[form], at, textcoords="offset points", va="center", ha=side,
                      fontsize=10, fontweight="bold", color=FORMS[form])  # fmt: skip


def _place(value: float, along: str) -> str:
    return f"{round(value**0.5)}²" if along == "grid" else f"{value:.0f}"


def _amount(value: float, measure: str) -> str:
    if measure == "seconds":
        return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"
    return f"{value:g} MB" if value < 1000 else f"{value / 1000:g} GB"


def _svg(figure: Figure) -> str:
    """Transparent, for a light or dark page; text as text is not: fonts differ."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "mcltoolkit"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
