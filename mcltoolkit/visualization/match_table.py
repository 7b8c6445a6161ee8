"""A match as a small table of bytes, from which a page can look up what each place looks at.

Weights are kept on blocks of places, so that the table has at most `LARGEST` rows and columns; the
places with the largest weight, in both directions, are those of the whole grid.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mcltoolkit.metrics.coarsened import AT_ONCE, coarsened, stride_of
from mcltoolkit.structures import Prediction

Grid = tuple[int, int]
LARGEST = 1024
"""Blocks on either side, at most: a table of 1 MiB before compression."""
FULL = 255


@dataclass(frozen=True)
class MatchTable:
    """One sample's match.

    Attributes:
        grid, exemplar_grid: of the match, N and M positions.
        block: places a block and side.
        cells: places of the match's own grid that one place here stands for, a side; 1 unless the
            match is too large to be read whole.
        weights: (n, m) uint8 by block: 255 times the root of a weight over its row's largest. A
            row is the mean over its block's places, a column the sum.
        scales: (n,) float32, the largest weight of each row.
        peaks: (N,) uint16, the exemplar place with the largest weight of each condition place.
        peak_weights: (N,) uint8, 255 times the root of that weight.
        lookers, looker_weights: (M,), the same in reverse: the condition place that gives an
            exemplar place the largest weight, and that weight.
        finite: no weight was infinite or not a number; such a one counts as 0.
    """

    grid: Grid
    exemplar_grid: Grid
    block: int
    cells: int
    weights: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]
    peaks: npt.NDArray[np.uint16]
    peak_weights: npt.NDArray[np.uint8]
    lookers: npt.NDArray[np.uint16]
    looker_weights: npt.NDArray[np.uint8]
    finite: bool = True

    def packed(self) -> str:
        """All arrays, little-endian, one after the other (`scales`, `peaks`, `lookers`, `weights`,
        `peak_weights`, `looker_weights`), compressed by zlib and written in base64."""
        order: tuple[tuple[npt.NDArray[Any], str], ...] = (
            (self.scales, "<f4"),
            (self.peaks, "<u2"),
            (self.lookers, "<u2"),
            (self.weights, "u1"),
            (self.peak_weights, "u1"),
            (self.looker_weights, "u1"),
        )
        raw = b"".join(np.ascontiguousarray(values, kind).tobytes() for values, kind in order)
        return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def match_table(prediction: Prediction, largest: int = LARGEST) -> MatchTable:
    """The finest table of a prediction's match, read block of rows by block of rows.

    Args:
        prediction: its match may be of any size; one of more than 128 x 128 positions is read on
            blocks of cells, see `metrics.coarsened`.
        largest: blocks on either side.
    """
    return next(match_tables(prediction, largest))


def match_tables(prediction: Prediction, largest: int = LARGEST) -> Iterator[MatchTable]:
    """Tables of a match that is read once: the finest first, then each on blocks of twice the
    side, down to one block.

    Args:
        prediction, largest: see `match_table`.
    """
    match, index = coarsened(prediction.match), prediction.index
    block = 1
    while max(_count(_blocks(g, block)) for g in (match.grid, match.exemplar_grid)) > largest:
        block += 1
    rows, columns = _count(match.grid), _count(match.exemplar_grid)
    small, other = _blocks(match.grid, block), _blocks(match.exemplar_grid, block)
    step = max(1, AT_ONCE // columns // 4)
    sums: Tensor | None = None
    finite = True
    peaks, weights = [], []
    for part in torch.arange(rows).split(step):
        found = match.probabilities(part)[index].detach().float()
        finite = finite and bool(found.isfinite().all())
        found = torch.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
        weight, peak = found.max(1)
        peaks.append(peak.cpu())
        weights.append(weight.cpu())
        largest_here, looker_here = found.max(0)
        looker_here = looker_here + int(part[0])
        pooled = _pool(found, match.exemplar_grid, block)
        if sums is None:
            sums = pooled.new_zeros(_count(small), pooled.shape[1])
            best, looker = torch.full_like(largest_here, -1.0), torch.zeros_like(looker_here)
        sums.index_add_(0, _block_of(part, match.grid, block).to(found.device), pooled)
        better = largest_here > best
        best = torch.where(better, largest_here, best)
        looker = torch.where(better, looker_here, looker)
    assert sums is not None
    sums = sums.cpu()
    finest = MatchTable(
        grid=match.grid,
        exemplar_grid=match.exemplar_grid,
        block=block,
        cells=stride_of(match),
        **_weights(sums, match.grid, block),
        peaks=torch.cat(peaks).numpy().astype(np.uint16),
        peak_weights=_roots(torch.cat(weights)),
        lookers=looker.cpu().numpy().astype(np.uint16),
        looker_weights=_roots(best.cpu()),
        finite=finite,
    )
    yield finest
    while max(*small, *other) > 1:
        block *= 2
        sums = _pool(_pool(sums, other, 2).T.contiguous(), small, 2).T
        small, other = _blocks(small, 2), _blocks(other, 2)
        yield replace(finest, block=block, **_weights(sums, match.grid, block))


def _weights(sums: Tensor, grid: Grid, block: int) -> dict[str, Any]:
    """`weights` and `scales` from the sums over blocks of rows and columns."""
    members = torch.bincount(_block_of(torch.arange(_count(grid)), grid, block))
    means = (sums / members[:, None]).numpy()
    scales = means.max(1)
    shares = means / np.maximum(scales, np.finfo(np.float32).tiny)[:, None]
    return {
        "weights": np.rint(FULL * np.sqrt(shares)).astype(np.uint8),
        "scales": scales.astype(np.float32),
    }


def _roots(weights: Tensor) -> npt.NDArray[np.uint8]:
    return np.rint(FULL * np.sqrt(weights.clamp(0, 1).numpy())).astype(np.uint8)


def _count(grid: Grid) -> int:
    return grid[0] * grid[1]


def _blocks(grid: Grid, block: int) -> Grid:
    return -(-grid[0] // block), -(-grid[1] // block)


def _block_of(positions: Tensor, grid: Grid, block: int) -> Tensor:
    """The number of the block of each position."""
    y, x = positions // grid[1], positions % grid[1]
    return y // block * _blocks(grid, block)[1] + x // block


def _pool(weights: Tensor, grid: Grid, block: int) -> Tensor:
    """(R, M) summed over blocks of M: (R, m)."""
    if block == 1:
        return weights
    columns = torch.arange(_count(grid), device=weights.device)
    target = weights.new_zeros(len(weights), _count(_blocks(grid, block)))
    return target.index_add_(1, _block_of(columns, grid, block), weights)
