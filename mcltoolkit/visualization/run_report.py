"""The report of a run: what it scored, what it made, what it matched, how it learned."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcltoolkit.data.palette import class_palette
from mcltoolkit.plugins import implementations
from mcltoolkit.structures import Prediction
from mcltoolkit.visualization.colours import Palette, as_palette
from mcltoolkit.visualization.curves import curve_panels
from mcltoolkit.visualization.extremes import Extremes, Shown
from mcltoolkit.visualization.glossary import headline
from mcltoolkit.visualization.inspector_section import add_inspector
from mcltoolkit.visualization.matches import (
    LARGEST_PANEL,
    draw_match,
    position_key,
    position_map,
)
from mcltoolkit.visualization.report import Report
from mcltoolkit.visualization.sample_sections import (
    add_class_bars,
    add_extremes,
    add_translations,
)
from mcltoolkit.visualization.scalars import Files, Series, read_scalars
from mcltoolkit.visualization.sheets import shrink

INTRODUCTION = (
    "Each condition is painted in the style of its exemplar. The learned match finds, for every "
    "place of the condition, the places of the exemplar that belong to it; the exemplar warped by "
    "this match guides the painting."
)
MATCH_TEXT = (
    "Left: places of the condition, joined by number to the place of the exemplar that the match "
    "prefers. Right: the same for all places at once. Every place of the exemplar has a colour, "
    "and each place of the condition shows the colour of where it looks. Even regions are a steady "
    "match, speckles a jumping one, and grey one that cannot decide."
)
METRICS_TEXT = (
    "Over the whole test set. Likeness to a truth counts only where a right answer in the "
    "exemplar's style exists."
)
FEW_CLASSES = 24
RED_RING = " A red ring marks a point that landed in another class than it came from."


def translation_report(
    path: str | os.PathLike[str],
    predictions: Sequence[Prediction],
    metrics: Mapping[str, Any],
    palette: Palette | None = None,
    classes: Sequence[str] | None = None,
    scalars_file: Files | None = None,
    title: str = "Exemplar-guided translation",
    facts: Mapping[str, Any] | None = None,
    notes: Mapping[str, str] | None = None,
    introduction: str = INTRODUCTION,
    rows: int = 8,
    matches: int = 4,
    shown_channels: Sequence[int] | None = None,
    passports: Mapping[str, Mapping[str, Any]] | None = None,
    further: Sequence[Shown] = (),
    extremes: Extremes[Any] | None = None,
    values: Sequence[Mapping[str, float]] = (),
    per_class: Mapping[int, Mapping[str, int]] | None = None,
    scalars: dict[str, Series] | None = None,
) -> Path:
    """Write the report of a run as one HTML file; plugins may add sections to its end.

    Args:
        path: the file to write.
        predictions: what to show; the first `rows` as pictures, the first `matches` with their
            match drawn.
        metrics: values by name; headline numbers are taken from `psnr`, `ssim`, `label_accuracy`
            and the baselines `psnr_copy_exemplar` and `psnr_untrained`, where they exist.
        palette: (K, 3) colours of the classes; `class_palette` where it is None.
        classes: K names for the legend; none for a condition that is not a label map. Of many
            classes the legend lists those that are to be seen.
        scalars_file: mmengine's scalars.json, or several of a resumed run, oldest first.
        title: heading.
        facts: what identifies the run: config, steps, seconds, versions.
        notes: explanations of metrics by name, beside the built-in ones.
        introduction: the text under the heading.
        shown_channels: of a dense condition, see `paint_condition`.
        passports: how each metric was measured, by name.
        further: the best, median and worst samples, see `Shown.groups`.
        extremes: how these were chosen.
        values: metric values of each of `predictions`, as far as they are known.
        per_class: positions by class, see `metrics.LabelTransfer.per_class`.
        scalars: the training's scalars, where they are read already, in place of `scalars_file`.

    Raises:
        DataError: scalars that cannot be read, or labels without a colour.
        ConfigError: the place cannot be written.
    """
    if palette is None and classes:
        palette = class_palette(len(classes))
    report = Report(title)
    if introduction:
        report.add_lead(introduction)
    report.add_tiles(headline(dict(metrics)))
    add_extremes(report, further, extremes, palette, shown_channels)
    first = [
        Shown(p, values[i] if i < len(values) else {}) for i, p in enumerate(predictions[:rows])
    ]
    add_translations(report, "Translations", first, palette, shown_channels)
    if classes and palette is not None:
        _add_legend(report, predictions[:rows], palette, classes)
    inspected = {id(s.prediction): s.prediction for s in (*further, *first)}
    add_inspector(report, list(inspected.values()))
    _add_matches(report, predictions[:matches], palette, shown_channels)
    if metrics:
        report.add_metrics_table(metrics, notes, text=METRICS_TEXT, passports=passports)
    if per_class:
        add_class_bars(report, per_class, palette, classes)
    if scalars is None:
        scalars = read_scalars(scalars_file) if scalars_file else {}
    panels = curve_panels(scalars)
    if panels:
        report.add_panels(
            "Curves",
            panels,
            "Losses as they enter the objective, weighted. Strong line: running mean; faint line: "
            "values as logged.",
        )
    if facts:
        report.add_facts("This run", facts)
    add_plugin_sections(report, predictions[: max(rows, matches)], metrics)
    return report.write(path)


def add_plugin_sections(
    report: Report, predictions: Sequence[Prediction], metrics: Mapping[str, Any]
) -> None:
    """The sections of plugins, whole; of one that fails a note is left, and a PluginWarning."""
    for plugin in implementations("add_report_sections"):
        sections = Report(report.title)
        try:
            plugin.call(report=sections, predictions=predictions, metrics=metrics)
            report.extend(sections)
        except Exception as error:
            report.add_text(plugin.warn(error), title=f"Plugin {plugin.report.name}")


def _add_matches(
    report: Report,
    predictions: Sequence[Prediction],
    palette: Palette | None,
    shown_channels: Sequence[int] | None,
) -> None:
    if not predictions:
        return
    rows = []
    for prediction in predictions:
        picture = draw_match(
            prediction, palette=palette, background=None, shown_channels=shown_channels
        )
        key = position_key(prediction.match.exemplar_grid)
        maps = [shrink(m, LARGEST_PANEL) for m in (key, position_map(prediction))]
        rows.append([picture, *maps])
    known = any(p.labels is not None and p.exemplar_labels is not None for p in predictions)
    report.add_rows(
        "The match",
        rows,
        ["condition and exemplar", "colours of the exemplar's places", "where the condition looks"],
        [prediction.name for prediction in predictions],
        MATCH_TEXT + (RED_RING if known else ""),
        layout="match",
    )


def _add_legend(
    report: Report, predictions: Sequence[Prediction], palette: Palette, classes: Sequence[str]
) -> None:
    seen = set(range(len(classes)))
    if len(classes) > FEW_CLASSES:
        seen &= {
            label
            for p in predictions
            if p.labels is not None
            for label in p.labels.unique().tolist()
        }
    shown = sorted(seen)
    if shown:
        colours = as_palette(palette)
        names = [classes[label] for label in shown]
        report.add_legend(
            "Classes", [colours[label] for label in shown if label < len(colours)], names
        )
