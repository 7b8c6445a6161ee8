"""A sparse match: each condition position has J exemplar positions and their weights.

CoCosNet v2 (Zhou et al., CVPR 2021, section 3.2) warps by the softmax over K candidates. A
candidate between cells stands for its four neighbours with bilinear weights, so J is 4 K there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcltoolkit.precision import at_least_float32, without_autocast
from mcltoolkit_cocosnet2.gather import gather_sum, scatter_sum

# An exemplar position that gets less than this weight in all is one that nothing looks at.
NOTHING = 1e-12


class SparseMatch:
    """Match held as indices and weights; its memory is linear in N.

    Args:
        index: (B, J, N) int64 in [0, M), exemplar positions of each condition position.
        weights: (B, J, N) >= 0; they sum to 1 over J.
        grid: (h, w) with h * w = N.
        exemplar_grid: the same for M.
    """

    def __init__(
        self, index: Tensor, weights: Tensor, grid: tuple[int, int], exemplar_grid: tuple[int, int]
    ) -> None:
        self.index = index
        self.weights = at_least_float32(weights)
        self.grid = grid
        self.exemplar_grid = exemplar_grid

    def warp(self, values: Tensor) -> Tensor:
        """Exemplar values (B, C, M) seen from the condition: (B, C, N), not in half precision."""
        with without_autocast(values):
            rows = values.to(self.weights.dtype).transpose(1, 2)
            return gather_sum(self.weights, rows, self.index).transpose(1, 2)

    def warp_back(self, values: Tensor) -> Tensor:
        """Condition values (B, C, N) seen from the exemplar: (B, C, M), not in half precision.

        Each exemplar position averages the condition positions that look at it, by their weights.
        One that nothing looks at is 0.
        """
        with without_autocast(values):
            rows = values.to(self.weights.dtype).transpose(1, 2)
            rows = torch.cat([rows, torch.ones_like(rows[:, :, :1])], dim=2)
            size = self.exemplar_grid[0] * self.exemplar_grid[1]
            handed = scatter_sum(self.weights, rows, self.index, size).transpose(1, 2)
            return handed[:, :-1] / handed[:, -1:].clamp_min(NOTHING)

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        """Weights (B, R, M) of the exemplar positions for the condition positions `rows`.

        Args:
            rows: (R,) indices in [0, N); None for all, which takes B * N * M numbers: at full
                resolution ask for some rows at a time.
        """
        index, weights = self.index, self.weights
        if rows is not None:
            index, weights = index[:, :, rows], weights[:, :, rows]
        index, weights = index.transpose(1, 2), weights.transpose(1, 2)
        size = self.exemplar_grid[0] * self.exemplar_grid[1]
        return weights.new_zeros(*weights.shape[:2], size).scatter_add(2, index, weights)
