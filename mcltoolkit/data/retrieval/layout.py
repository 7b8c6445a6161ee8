"""Similarity of label layouts: which classes two pictures show, and where. Needs no weights.

    similarity = share * H + (1 - share) * L

H is the histogram intersection of the class frequencies (each picture's sum to 1): what is shown.
L compares the class fractions in a grid of cells, sum of minima over sum of maxima (the weighted
Jaccard index): where it is shown. Ignored labels count neither as pixels of H nor in a cell's
fractions. Both lie in [0, 1], and 1 means equal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mcltoolkit.errors import ConfigError, DataError

MAX_CLASSES = 1024
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Layout:
    """What one label map shows.

    Attributes:
        classes: (P,) the classes that occur, ascending.
        histogram: (P,) their share of the pixels that are not ignored; sums to 1.
        cells: (P, G * G) share of each cell's pixels that each class has.
    """

    classes: np.ndarray
    histogram: np.ndarray
    cells: np.ndarray


def label_layout(labels: np.ndarray, grid: int, ignored: Collection[int] = ()) -> Layout:
    """The layout of a label map (H, W).

    Args:
        grid: G, cells a side; row y belongs to the cell y * G // H.
        ignored: labels that mean "unknown".

    Raises:
        DataError: the map is smaller than the grid, or all of it is ignored.
    """
    height, width = labels.shape
    if min(height, width) < grid:
        raise DataError(
            f"{height}x{width} pixels are fewer than the {grid}x{grid} cells of the layout; use a "
            f"larger label map or a smaller --grid"
        )
    classes, inverse = np.unique(labels, return_inverse=True)
    rows = np.arange(height) * grid // height
    columns = np.arange(width) * grid // width
    cell = (rows[:, None] * grid + columns).ravel()
    counts = np.bincount(
        inverse.ravel() * grid**2 + cell, minlength=len(classes) * grid**2
    ).reshape(len(classes), grid**2)
    size = counts.sum(axis=0)
    kept = ~np.isin(classes, list(ignored))
    known = counts[kept].sum()
    if known == 0:
        raise DataError(
            f"every pixel has an ignored label ({', '.join(map(str, classes))}); correct the label "
            f"map, remove the picture, or change --ignore-label"
        )
    return Layout(
        classes[kept].astype(np.int64),
        (counts[kept].sum(axis=1) / known).astype(np.float32),
        (counts[kept] / size).astype(np.float32),
    )


def stack_layouts(layouts: Sequence[Layout]) -> dict[str, np.ndarray]:
    """N layouts as arrays: `classes` (K,) all that occur, `histogram` (N, K), `cells` (N, K * G²).

    Raises:
        DataError: more classes than a label map can sensibly have.
    """
    classes = np.unique(np.concatenate([layout.classes for layout in layouts]))
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"the label maps hold {len(classes)} different labels up to {classes[-1]}; allowed are "
            f"{MAX_CLASSES} classes: give maps of classes, not of instances or colours"
        )
    positions = layouts[0].cells.shape[1]
    histogram = np.zeros((len(layouts), len(classes)), dtype=np.float32)
    cells = np.zeros((len(layouts), len(classes), positions), dtype=np.float32)
    for row, layout in enumerate(layouts):
        at = np.searchsorted(classes, layout.classes)
        histogram[row, at] = layout.histogram
        cells[row, at] = layout.cells
    return {
        "classes": classes,
        "histogram": histogram,
        "cells": cells.reshape(len(layouts), -1),
    }


class LayoutSimilarity:
    """Layout similarity of queries and candidates, both from `stack_layouts`, in [0, 1].

    Args:
        share: weight of H, 0..1.

    Raises:
        ConfigError: the grids differ.
    """

    def __init__(self, queries: Arrays, candidates: Arrays, share: float = 0.5) -> None:
        classes = np.union1d(queries["classes"], candidates["classes"])
        self.share = share
        self._queries = _spread(queries, classes)
        self._candidates = self._queries if queries is candidates else _spread(candidates, classes)
        if self._queries[1].shape[1] != self._candidates[1].shape[1]:
            raise ConfigError("the layouts have different grids; compute both with one --grid")

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, N)."""
        return len(self._queries[0]), len(self._candidates[0])

    def block(self, rows: Tensor, columns: slice) -> Tensor:
        """See `Similarity`."""
        histogram, cells = (array[rows] for array in self._queries)
        other, other_cells = (array[columns] for array in self._candidates)
        smaller = minimum_sums(cells, other_cells)
        areas, other_areas = (c.sum(1, dtype=torch.float64) for c in (cells, other_cells))
        place = smaller / (areas[:, None] + other_areas - smaller)
        return self.share * minimum_sums(histogram, other) + (1 - self.share) * place


def minimum_sums(a: Tensor, b: Tensor) -> Tensor:
    """Sum over columns of min(a_i, b_j) for all pairs of rows.

    (n, D), (m, D) of values >= 0 -> (n, m) float64.

    Most columns of a layout are zero, and a zero adds nothing: only the columns where a row of `a`
    is not zero are looked at. Fractions of pixels add up exactly in float64, in any order.
    """
    columns = b.T.contiguous()
    sums = torch.zeros(len(a), len(b), dtype=torch.float64)
    for row, values in enumerate(a):
        at = values.nonzero()[:, 0]
        sums[row] = torch.minimum(columns[at], values[at, None]).sum(0, dtype=torch.float64)
    return sums


def _spread(arrays: Arrays, classes: np.ndarray) -> tuple[Tensor, Tensor]:
    """Histogram (N, K) and cells (N, K * G²) with a column for each of `classes`."""
    histogram, cells = arrays["histogram"], arrays["cells"]
    if len(classes) != len(arrays["classes"]):
        at = np.searchsorted(classes, arrays["classes"])
        count, positions = len(histogram), cells.shape[1] // len(at)
        wide = np.zeros((count, len(classes)), dtype=np.float32)
        wide[:, at] = histogram
        wide_cells = np.zeros((count, len(classes), positions), dtype=np.float32)
        wide_cells[:, at] = cells.reshape(count, len(at), positions)
        histogram, cells = wide, wide_cells.reshape(count, -1)
    return torch.from_numpy(histogram), torch.from_numpy(cells)
