"""The dense cosine match: softmax over exemplar positions of cosine / temperature.

CoCosNet (Zhang et al., CVPR 2020), section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcltoolkit.layers.precision import at_least_float32, without_autocast


class CosineMatch:
    """Match held as unit vectors; the softmaxed N x M matrix is computed once and kept.

    Everything is computed in float32 at least, whatever the autocast state: at temperature 0.01
    the rounding of half precision would move a logit by about 0.1.

    Args:
        queries: (B, D, N), unit vectors of the condition's positions.
        keys: (B, D, M), unit vectors of the exemplar's positions.
        grid: (h, w) with h * w = N.
        exemplar_grid: the same for M.
        temperature: divides the cosine; > 0.
    """

    def __init__(
        self,
        queries: Tensor,
        keys: Tensor,
        grid: tuple[int, int],
        exemplar_grid: tuple[int, int],
        temperature: float = 0.01,
    ) -> None:
        self.queries = at_least_float32(queries)
        self.keys = at_least_float32(keys)
        self.grid = grid
        self.exemplar_grid = exemplar_grid
        self.temperature = temperature
        self._kept: dict[tuple[str, bool], Tensor] = {}

    def warp(self, values: Tensor) -> Tensor:
        """Exemplar values (B, C, M) seen from the condition: (B, C, N), not in half precision."""
        with without_autocast(values):
            weights = self._softmax("rows")
            return values.to(weights.dtype) @ weights.transpose(1, 2)

    def warp_back(self, values: Tensor) -> Tensor:
        """Condition values (B, C, N) seen from the exemplar: (B, C, M), not in half precision.

        The weights are the softmax of the same logits over condition positions.
        """
        with without_autocast(values):
            weights = self._softmax("columns")
            return values.to(weights.dtype) @ weights

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        """Weights (B, R, M) of the exemplar positions for the condition positions `rows`.

        Args:
            rows: (R,) indices in [0, N); None for all. Only these rows are computed.
        """
        if rows is None:
            return self._softmax("rows")
        return self._logits(self.queries[:, :, rows]).softmax(2)

    def release(self) -> None:
        """Forget the N x M matrices that were kept; they are computed again when asked for."""
        self._kept.clear()

    def _logits(self, queries: Tensor) -> Tensor:
        with without_autocast(queries):
            return (queries / self.temperature).transpose(1, 2) @ self.keys

    def _softmax(self, over: str) -> Tensor:
        # A matrix made without a graph must not serve a later call that trains.
        grad = torch.is_grad_enabled()
        if (over, grad) not in self._kept:
            if ("logits", grad) not in self._kept:
                self._kept["logits", grad] = self._logits(self.queries)
            axis = 2 if over == "rows" else 1
            self._kept[over, grad] = self._kept["logits", grad].softmax(axis)
        return self._kept[over, grad]
