"""A page of pictures for an exemplar list: conditions beside the exemplars they were given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mcltoolkit.data.images import read_image, read_labels
from mcltoolkit.data.palette import class_palette
from mcltoolkit.data.retrieval import Gallery, Retrieval
from mcltoolkit.data.retrieval.features import ANY_LABEL
from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.images import colour_labels, image_grid, save_png
from mcltoolkit.visualization.report import Report

SIDE = 200
COLOURS = 256  # labels beyond share colours: there are not so many that an eye could tell apart
INTRODUCTION = (
    "Each condition with the exemplars that its list line names, best first, and their scores. "
    "Good exemplars show the same classes in similar places, are no copies of the condition, and "
    "differ from one another."
)


def exemplar_page(
    result: Retrieval, path: str | os.PathLike[str], samples: int = 12, worst: int = 4
) -> Path:
    """Write the pictures as one HTML file that needs nothing else.

    Args:
        result: of `retrieve`.
        samples: conditions shown, at even distances in the list.
        worst: further conditions, those whose best exemplar scores least.

    Raises:
        DataError: a picture cannot be read.
        ConfigError: the place cannot be written.
    """
    ranking, count = result.ranking, len(result.queries)
    best = ranking.scores[:, 0]
    report = Report("Exemplar list")
    report.add_lead(INTRODUCTION)
    found = ranking.counts > 0
    uses = np.bincount(ranking.candidates[ranking.candidates >= 0], minlength=1)
    used = int((uses > 0).sum())
    report.add_tiles(
        [
            (str(count), "conditions", f"{len(result.candidates)} candidates"),
            (f"{ranking.counts.mean():.2f}", "exemplars each", f"at least {ranking.counts.min()}"),
            (
                f"{best[found].mean():.3f}" if found.any() else "-",
                "mean score of the best",
                f"lowest {best[found].min():.3f}" if found.any() else "",
            ),
            (
                str(int(uses.max())),
                "lists with the most used exemplar",
                f"{result.candidates.names[int(uses.argmax())]}; {used} are used",
            ),
        ]
    )
    chosen = evenly(count, samples)
    _add_rows(report, result, "Samples", chosen, "At even distances in the list.")
    order = np.argsort(np.where(found, best, -np.inf), kind="stable")
    lowest = [int(i) for i in order if int(i) not in chosen][:worst]
    _add_rows(report, result, "Lowest scores", lowest, "The conditions hardest to serve.")
    report.add_facts("How the list was made", result.settings)
    return report.write(path)


def exemplar_sheet(result: Retrieval, path: str | os.PathLike[str], samples: int = 12) -> Path:
    """Write the same samples as one PNG: label map (where used), condition, exemplars.

    Raises:
        DataError: a picture cannot be read.
        ConfigError: the place cannot be written.
    """
    chosen = evenly(len(result.queries), samples)
    top = result.ranking.candidates.shape[1]
    heads = ["condition", *(str(place) for place in range(1, top + 1))]
    if result.queries.labels is not None:
        heads.insert(0, "labels")
    rows = [pictures_of(result, number) for number in chosen]
    return save_png(image_grid(rows, heads, [result.queries.names[n] for n in chosen]), path)


def evenly(count: int, samples: int) -> list[int]:
    """Up to `samples` numbers of 0..count-1 at even distances, the first included."""
    samples = min(samples, count)
    return [number * count // samples for number in range(samples)]


def pictures_of(result: Retrieval, number: int) -> list[Picture]:
    """The label map (where used) and the image of a condition, then its exemplars."""
    row = [_small(result.queries, number)]
    if result.queries.labels is not None:
        labels = read_labels(result.queries.labels[number], ANY_LABEL)
        painted = colour_labels(labels % COLOURS, class_palette(COLOURS))
        row.insert(0, _shrunk(painted, Image.Resampling.NEAREST))
    return row + [_small(result.candidates, c) for c, _ in result.exemplars(number)]


def _add_rows(
    report: Report, result: Retrieval, title: str, numbers: Sequence[int], text: str
) -> None:
    if not numbers:
        return
    rows, captions = [], []
    for number in numbers:
        rows.append(pictures_of(result, number))
        own = ["condition"] if result.queries.labels is None else ["label map", "condition"]
        captions.append(
            own
            + [f"{score:.3f} {result.candidates.names[c]}" for c, score in result.exemplars(number)]
        )
    report.add_rows(title, rows, captions, [result.queries.names[n] for n in numbers], text)


def _small(gallery: Gallery, number: int) -> Picture:
    return _shrunk(read_image(gallery.images[number]), Image.Resampling.BICUBIC)


def _shrunk(picture: Picture, resample: Image.Resampling) -> Picture:
    factor = SIDE / max(picture.shape[:2])
    if factor >= 1:
        return picture
    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), resample))
