"""A match of many positions, measured on a coarser grid.

What metrics measure costs N x M numbers, computed a block of rows at a time; at 512 x 512 positions
that is 7e10. Such a match is looked at from one condition position of each block of cells, and the
weights of a block of exemplar cells count as one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.structures import Match

Grid = tuple[int, int]
LARGEST = 128 * 128
"""Positions, on either side, up to which a match is measured as it is."""
MEASURED = 64 * 64
"""Positions, on either side, that are left of a larger one, at most."""
AT_ONCE = 2**24
"""Weights of one sample that are held at a time."""


class CoarsenedMatch:
    """A match on blocks of `stride` x `stride` cells; grids that it does not divide end in smaller
    blocks.

    Args:
        match: the match itself.
        stride: cells a block and side, the same for condition and exemplar.
    """

    def __init__(self, match: Match, stride: int) -> None:
        self.match = match
        self.stride = stride
        self.grid = _coarse(match.grid, stride)
        self.exemplar_grid = _coarse(match.exemplar_grid, stride)

    def warp(self, values: Tensor) -> Tensor:
        """Exemplar values (B, C, M), one a block, seen from the middle of the condition's blocks:
        (B, C, N)."""
        fine = _spread(values, self.exemplar_grid, self.match.exemplar_grid, self.stride)
        rows = torch.arange(self.grid[0] * self.grid[1])
        return self.match.warp(fine)[:, :, self._middles(rows)]

    def warp_back(self, values: Tensor) -> Tensor:
        """Condition values (B, C, N), one a block, seen from the exemplar: (B, C, M), means over
        its blocks."""
        found = []
        for some in values.split(max(1, AT_ONCE // (self.match.grid[0] * self.match.grid[1])), 1):
            fine = _spread(some, self.grid, self.match.grid, self.stride)
            back = self.match.warp_back(fine)
            found.append(_sums(back, self.match.exemplar_grid, self.stride))
        counts = _sums(torch.ones_like(back[:1, :1]), self.match.exemplar_grid, self.stride)
        return torch.cat(found, dim=1) / counts

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        """(B, R, M): for the condition's blocks `rows` (R,), default all, the weight of each of the
        exemplar's blocks, as seen from the block's middle."""
        if rows is None:
            rows = torch.arange(self.grid[0] * self.grid[1])
        fine = self.match.exemplar_grid
        step = max(1, AT_ONCE // (fine[0] * fine[1]))
        return torch.cat(
            [
                _sums(self.match.probabilities(some), fine, self.stride)
                for some in self._middles(rows).split(step)
            ],
            dim=1,
        )

    def _middles(self, rows: Tensor) -> Tensor:
        """The condition position in the middle of each block."""
        (height, width), columns = self.match.grid, self.grid[1]
        y = (rows // columns * self.stride + self.stride // 2).clamp_max(height - 1)
        x = (rows % columns * self.stride + self.stride // 2).clamp_max(width - 1)
        return y * width + x


def coarsened(match: Match, largest: int = LARGEST, measured: int = MEASURED) -> Match:
    """The match itself, or, if a side has more than `largest` positions, the match on the smallest
    blocks that leave at most `measured` on each side."""
    grids = (match.grid, match.exemplar_grid)
    if max(h * w for h, w in grids) <= largest:
        return match
    stride = 2
    while max(h * w for h, w in (_coarse(grid, stride) for grid in grids)) > measured:
        stride += 1
    return CoarsenedMatch(match, stride)


def heaviest(weights: Tensor) -> tuple[Tensor, Tensor]:
    """The place of the heaviest weight, and whether there is one.

    Args:
        weights: (B, R, M).

    Returns:
        (B, R) int64, and (B, R) bool, False where a weight is NaN or infinite: `argmax` would
        name a place all the same.
    """
    return weights.argmax(2), weights.sum(2).isfinite()


def stride_of(match: Match) -> int:
    """Cells a block and side: 1 for a match that is not coarsened."""
    return match.stride if isinstance(match, CoarsenedMatch) else 1


def _coarse(grid: Grid, stride: int) -> Grid:
    return -(-grid[0] // stride), -(-grid[1] // stride)


def _sums(values: Tensor, grid: Grid, stride: int) -> Tensor:
    """Values (B, C, h * w) summed over blocks: (B, C, h' * w')."""
    rows, columns = _coarse(grid, stride)
    missing = (0, columns * stride - grid[1], 0, rows * stride - grid[0])
    whole = F.pad(values.unflatten(2, grid), missing)
    blocks = whole.unflatten(3, (columns, stride)).unflatten(2, (rows, stride))
    return blocks.sum((3, 5)).flatten(2)


def _spread(values: Tensor, coarse: Grid, grid: Grid, stride: int) -> Tensor:
    """Values (B, C, h' * w') of blocks, given to each of their cells: (B, C, h * w)."""
    maps = values.unflatten(2, coarse).repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    return maps[:, :, : grid[0], : grid[1]].flatten(2)
