"""Sections of a report about samples and classes: best and worst, rows of pictures, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcltoolkit.data.palette import class_palette
from mcltoolkit.visualization.colours import Palette, as_palette
from mcltoolkit.visualization.extremes import RANKED_BY, Extremes, Shown
from mcltoolkit.visualization.glossary import meaning, write_number
from mcltoolkit.visualization.images import GRID_COLUMNS, OWN_IMAGE, prediction_pictures
from mcltoolkit.visualization.report import Bar, Report
from mcltoolkit.visualization.sheets import shrink

CLASSES_TEXT = (
    "The exemplar's labels, carried over by the match: the overlap (intersection over union) of "
    "each class with the condition's labels, largest classes first."
)
HEADING_VALUES = {"psnr": "PSNR", "label_accuracy": "label transfer"}
LARGEST_SIDE = 384


def add_extremes(
    report: Report,
    shown: Sequence[Shown],
    extremes: Extremes[Any] | None,
    palette: Palette | None = None,
    shown_channels: Sequence[int] | None = None,
) -> None:
    """The best, median and worst samples, and by what they were ranked; nothing without them."""
    if extremes is None or not extremes.groups or not shown:
        return
    # of samples that could not be had again a whole group may be missing
    there = [name for name in extremes.groups if any(name in s.groups for s in shown)]
    title = f"{_listed([group.capitalize() for group in there])} samples"
    text = (
        f"Ranked by {RANKED_BY[extremes.by]}, over all {extremes.ranked} samples that have it: a "
        f"mean hides what single samples look like."
    )
    add_translations(report, title, shown, palette, shown_channels, text)


def add_class_bars(
    report: Report,
    per_class: Mapping[int, Mapping[str, int]],
    palette: Palette | None = None,
    classes: Sequence[str] | None = None,
) -> None:
    """Label transfer of each class as bars: overlap, and the class's share of all places."""
    total = sum(counts["true"] for counts in per_class.values())
    if palette is None:
        palette = class_palette(max(per_class) + 1)
    colours = as_palette(palette)
    bars = []
    for label, counts in sorted(per_class.items(), key=lambda item: (-item[1]["true"], item[0])):
        hits, transferred, true = (counts[name] for name in ("hits", "transferred", "true"))
        overlap = hits / max(transferred + true - hits, 1)
        name = classes[label] if classes and label < len(classes) else f"class {label}"
        grey = (128, 128, 128)
        colour = tuple(colours[label].tolist()) if label < len(colours) else grey
        share = f"{100 * true / max(total, 1):.1f} % of places"
        bars.append(Bar(name, overlap, colour, f"IoU {overlap:.3f}, {share}"))
    report.add_bars("Label transfer by class", bars, CLASSES_TEXT)


def _listed(words: Sequence[str]) -> str:
    """`Best, median and worst`."""
    words = [words[0], *(word.lower() for word in words[1:])]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _heading(shown: Shown) -> str:
    prediction = shown.prediction
    other = prediction.exemplar_name
    text = f"{prediction.name}, exemplar {other}" if other else prediction.name
    groups = [group for group in shown.groups if group != "first"]
    if groups:
        text = f"{' and '.join(groups).capitalize()}: {text}"
    known = [(n, shown.values[n]) for n in HEADING_VALUES if n in shown.values]
    told = [f"{HEADING_VALUES[n]} {write_number(v, meaning(n).unit)}" for n, v in known]
    return f"{text} ({', '.join(told)})" if told else text


def add_translations(
    report: Report,
    title: str,
    shown: Sequence[Shown],
    palette: Palette | None,
    shown_channels: Sequence[int] | None,
    text: str = "",
) -> None:
    """Rows of pictures, one a sample, headed by its values; nothing without samples."""
    if not shown:
        return
    pictures, captions, names = [], [], []
    for sample in shown:
        prediction = sample.prediction
        row = [
            None if picture is None else shrink(picture, LARGEST_SIDE)
            for picture in prediction_pictures(prediction, palette, shown_channels)
        ]
        columns = list(GRID_COLUMNS)
        if not prediction.paired:
            columns[-1] = OWN_IMAGE
        pictures.append(row if row[-1] is not None else row[:-1])
        captions.append(columns)
        names.append(_heading(sample))
    text = text or (
        "The warped exemplar is what the match alone gives; the output is what the network paints."
    )
    if any(not s.prediction.paired and s.prediction.truth is not None for s in shown):
        text += (
            " Where no right answer in the exemplar's style exists, the condition's own image is "
            "shown for comparison."
        )
    report.add_rows(title, pictures, captions, names, text)
