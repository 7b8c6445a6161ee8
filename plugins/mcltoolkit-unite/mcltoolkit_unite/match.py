"""The dense match of a transport plan (UNITE, Zhan et al., CVPR 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mcltoolkit.precision import at_least_float32, without_autocast
from mcltoolkit_unite.attention import attend
from mcltoolkit_unite.sinkhorn import potentials, row_blocks


class TransportMatch:
    """Match held as unit vectors and the plan's potentials; the N x M plan is never made.

    The cost of a pair is 1 minus the cosine. Seen from one side, the plan's rows or columns are
    each divided by their sum, so that every position takes a whole colour, however much of its mass
    was transported.

    Everything is computed in float32 at least, whatever the autocast state.

    Args:
        queries: (B, D, N), unit vectors of the condition's positions.
        keys: (B, D, M), unit vectors of the exemplar's positions.
        log_weights: (B, N), logarithms of the condition positions' weights, which sum to 1.
        exemplar_log_weights: (B, M), the same for the exemplar.
        grid: (h, w) with h * w = N.
        exemplar_grid: the same for M.
        epsilon: weight of the entropy, > 0: the temperature of the match.
        rho: weight of the marginals' divergence from the weights, >= 0; infinity holds them to the
            weights, 0 gives the cosine match with the weights as prior.
        iterations: of Sinkhorn's algorithm.
        block: rows of the plan that exist at a time.
    """

    def __init__(
        self,
        queries: Tensor,
        keys: Tensor,
        log_weights: Tensor,
        exemplar_log_weights: Tensor,
        grid: tuple[int, int],
        exemplar_grid: tuple[int, int],
        epsilon: float,
        rho: float,
        iterations: int,
        block: int,
    ) -> None:
        self.queries = at_least_float32(queries)
        self.keys = at_least_float32(keys)
        self.log_weights = log_weights.to(self.queries.dtype)
        self.exemplar_log_weights = exemplar_log_weights.to(self.queries.dtype)
        self.grid = grid
        self.exemplar_grid = exemplar_grid
        self.epsilon = epsilon
        self.damping = 1.0 if math.isinf(rho) else rho / (rho + epsilon)
        self.iterations = iterations
        self.block = block
        self._kept: dict[bool, tuple[Tensor, Tensor]] = {}

    def warp(self, values: Tensor) -> Tensor:
        """Exemplar values (B, C, M) seen from the condition: (B, C, N), not in half precision."""
        _, columns = self._biases()
        values = values.to(self.queries.dtype)
        return attend(self._scaled(self.queries), self.keys, columns, values, self.block)

    def warp_back(self, values: Tensor) -> Tensor:
        """Condition values (B, C, N) seen from the exemplar: (B, C, M), not in half precision.

        The weights are the columns of the same plan.
        """
        rows, _ = self._biases()
        values = values.to(self.queries.dtype)
        return attend(self._scaled(self.keys), self.queries, rows, values, self.block)

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        """Weights (B, R, M) of the exemplar positions for the condition positions `rows`.

        Args:
            rows: (R,) indices in [0, N); None for all. Only these rows are computed.
        """
        return self._log_rows(rows).softmax(2)

    def plan(self, rows: Tensor | None = None) -> Tensor:
        """Transported mass (B, R, M) from the condition positions `rows`, default all."""
        biases, _ = self._biases()
        own = biases if rows is None else biases[:, rows]
        return (self._log_rows(rows) + own[:, :, None] - 1 / self.epsilon).exp()

    @torch.no_grad()
    def marginals(self) -> tuple[Tensor, Tensor]:
        """Mass that leaves each condition position (B, N) and that reaches each exemplar position
        (B, M). Against the weights they tell which positions found no counterpart."""
        leaving, reaching = [], torch.zeros_like(self.exemplar_log_weights)
        count = self.queries.shape[2]
        for part in row_blocks(count, self.block):
            mass = self.plan(torch.arange(count, device=self.queries.device)[part])
            leaving.append(mass.sum(2))
            reaching = reaching + mass.sum(1)
        return torch.cat(leaving, 1), reaching

    def _scaled(self, vectors: Tensor) -> Tensor:
        return vectors / self.epsilon

    def _log_rows(self, rows: Tensor | None) -> Tensor:
        """Rows of the plan's logarithm, up to a constant of each row."""
        _, columns = self._biases()
        queries = self.queries if rows is None else self.queries[:, :, rows]
        with without_autocast(queries):
            return self._scaled(queries).mT @ self.keys + columns[:, None]

    def _biases(self) -> tuple[Tensor, Tensor]:
        """Weights and potentials together: log a + u (B, N) and log b + v (B, M)."""
        # Potentials made without a graph must not serve a later call that trains.
        grad = torch.is_grad_enabled()
        if grad not in self._kept:
            rows, columns = self.log_weights, self.exemplar_log_weights
            u, v = potentials(
                self._scaled(self.queries),
                self.keys,
                rows - 1 / self.epsilon,
                columns - 1 / self.epsilon,
                self.damping,
                self.iterations,
                self.block,
            )
            self._kept[grad] = (rows + u, columns + v)
        return self._kept[grad]
