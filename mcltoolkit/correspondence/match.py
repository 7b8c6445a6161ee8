"""The dense cosine match: softmax over exemplar positions of cosine / temperature.

CoCosNet (Zhang et al., CVPR 2020), section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcltoolkit import ops
from mcltoolkit.ops.blocks import LOG2E, Buffer, blocks, exporting
from mcltoolkit.precision import at_least_float32, without_autocast

Grid = tuple[int, int]
MEMORY = ("auto", "dense", "blocks")
"""How a match may be held; see `CosineMatch`."""
KEPT_BYTES = 2**28
"""Largest matrix of logits that `auto` keeps, all samples together."""
NARROW = 512
"""Up to this width of the compared vectors it costs less to compute logits twice than to keep
them: measured at 4096 positions, with equal times from 256 to 512 channels."""


class CosineMatch:
    """Match held as unit vectors; what is asked of it is computed in blocks of rows.

    Everything is computed in float32 at least, whatever the autocast state: at temperature 0.01
    the rounding of half precision would move a logit by about 0.1.

    Args:
        queries: (B, D, N), unit vectors of the condition's positions.
        keys: (B, D, M), unit vectors of the exemplar's positions.
        grid: (h, w) with h * w = N.
        exemplar_grid: the same for M.
        temperature: divides the cosine; > 0.
        memory: `dense` keeps the N x M matrix of logits, which all warps share; `blocks` makes it
            again for each warp and for its gradient, in memory linear in N and M; `auto` takes what
            is faster, and `blocks` where the matrix has more than `KEPT_BYTES`.
    """

    def __init__(
        self,
        queries: Tensor,
        keys: Tensor,
        grid: Grid,
        exemplar_grid: Grid,
        temperature: float = 0.01,
        memory: str = "auto",
    ) -> None:
        self.queries = at_least_float32(queries)
        self.keys = at_least_float32(keys)
        self.grid = grid
        self.exemplar_grid = exemplar_grid
        self.temperature = temperature
        self.memory = memory
        self._kept: dict[bool, Tensor] = {}

    def warp(self, values: Tensor) -> Tensor:
        """Exemplar values (B, C, M) seen from the condition: (B, C, N), not in half precision."""
        if self.is_dense:
            return ops.softmax_sum(self._logits(), values)
        return ops.softmax_match(self.queries, self.keys, values, 1 / self.temperature)

    def warp_back(self, values: Tensor) -> Tensor:
        """Condition values (B, C, N) seen from the exemplar: (B, C, M), not in half precision.

        The weights are the softmax of the same logits over condition positions.
        """
        if self.is_dense:
            return ops.softmax_sum(self._logits(), values, back=True)
        return ops.softmax_match(self.keys, self.queries, values, 1 / self.temperature)

    def warp_cycle(self, values: Tensor, channels: int) -> tuple[Tensor, Tensor]:
        """`warp`, and `warp_back` of its first channels, both from one pass over the rows.

        Args:
            values: (B, C, M).
            channels: how many of the C warped channels go back, at least 1.

        Returns:
            (B, C, N) and (B, channels, M).
        """
        if self.is_dense:
            warped = self.warp(values)
            return warped, self.warp_back(warped[:, :channels])
        return ops.softmax_cycle(self.queries, self.keys, values, 1 / self.temperature, channels)

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        """Weights (B, R, M) of the exemplar positions for the condition positions `rows`.

        Args:
            rows: (R,) indices in [0, N); None for all. Only these rows are computed.
        """
        queries = self.queries if rows is None else self.queries[:, :, rows]
        with without_autocast(queries):
            return ((queries / self.temperature).mT @ self.keys).softmax(2)

    @torch.no_grad()
    def heaviest(self) -> tuple[Tensor, Tensor, Tensor]:
        """The partner of largest weight of each position, in one pass over blocks of rows.

        Returns:
            (B, N) int64, the exemplar position that weighs most for each condition position, as
            `probabilities` tells; (B, M) int64, the condition position that weighs most for each
            exemplar position, as `warp_back` does; the first one of several. And (B,) bool, whether
            all cosines are finite: a place is named all the same.
        """
        kept = self._logits() if self.is_dense else None
        queries, keys = (kept, kept) if kept is not None else (self.queries.mT, self.keys)
        (batch, count, _), columns = queries.shape, keys.shape[2]
        there = queries.new_empty((batch, count), dtype=torch.long)
        back = queries.new_zeros((batch, columns), dtype=torch.long)
        peaks = queries.new_full((batch, columns), -torch.inf)
        finite = queries.new_ones(batch, dtype=torch.bool)
        buffer = Buffer(queries)
        with without_autocast(queries):
            for some, part in blocks(batch, count, columns, queries.device):
                cosines = queries[some, part]
                if kept is None:
                    room = buffer.of(*cosines.shape[:2], columns)
                    cosines = torch.bmm(cosines, keys[some], out=room)
                there[some, part] = cosines.argmax(2)
                peak, row = cosines.max(1)
                better = peak > peaks[some]
                back[some] = torch.where(better, row + part.start, back[some])
                peaks[some] = torch.where(better, peak, peaks[some])
                finite[some] &= cosines.sum((1, 2)).isfinite()
        return there, back, finite

    def release(self) -> None:
        """Forget what was kept; it is computed again when asked for."""
        self._kept.clear()

    @property
    def is_dense(self) -> bool:
        """Whether warps share a matrix of logits that is kept."""
        if self.memory != "auto" or exporting():
            return self.memory != "blocks"
        return self._is_wide() and self._bytes() <= KEPT_BYTES

    def _is_wide(self) -> bool:
        """Whether keeping the logits saves time. Without a gradient each warp makes them once."""
        learns = self.queries.requires_grad or self.keys.requires_grad
        return learns and torch.is_grad_enabled() and self.queries.shape[1] > NARROW

    def _bytes(self) -> int:
        queries = self.queries
        return len(queries) * queries.shape[2] * self.keys.shape[2] * queries.element_size()

    def _logits(self) -> Tensor:
        """Logits to the base 2, (B, N, M)."""
        # A matrix made without a graph must not serve a later call that trains.
        grad = torch.is_grad_enabled()
        if grad not in self._kept:
            self._kept[grad] = self._make_logits()
        return self._kept[grad]

    def _make_logits(self) -> Tensor:
        with without_autocast(self.queries):
            return (self.queries * (LOG2E / self.temperature)).mT @ self.keys
