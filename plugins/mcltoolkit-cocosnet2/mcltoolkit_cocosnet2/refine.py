"""One level of the hierarchy: PatchMatch with recurrent refinement, then a differentiable match.

CoCosNet v2 (Zhou et al., CVPR 2021, section 3.2). What differs: the authors' code rounds the
refined places before anything is read there, which leaves the recurrent unit without gradient;
here scores and colours are read bilinearly between cells, so that the warp trains it. Candidates
are kept distinct, since copies of one place would fill all K where the flow is constant.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mcltoolkit_cocosnet2.gather import gather_dot
from mcltoolkit_cocosnet2.gru import OffsetRefiner
from mcltoolkit_cocosnet2.match import SparseMatch
from mcltoolkit_cocosnet2.search import (
    Grid,
    around,
    best_of,
    flat_index,
    inside,
    own_places,
    propagate,
)

AXES = (-1, -2)


class LevelSearch(nn.Module):
    """From candidates taken over from the coarser level to this level's match.

    Args:
        candidates: K.
        iterations: of propagation, search and refinement.
        propagation: distances of the neighbours that hand candidates on, in positions.
        search: candidates drawn around the best one, an iteration.
        radius: half side of the first iteration's search square; halved each iteration, >= 1 cell.
        temperature: of the softmax over candidates.
        refiner: moves candidates after each iteration; None for plain PatchMatch.
        recompute: keep none of the refiner's layers for the gradient, but compute them again.
    """

    def __init__(
        self,
        candidates: int,
        iterations: int,
        propagation: Sequence[int],
        search: int,
        radius: int,
        temperature: float,
        refiner: OffsetRefiner | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.candidates = candidates
        self.iterations = iterations
        self.propagation = tuple(propagation)
        self.search = search
        self.radius = radius
        self.temperature = temperature
        self.refiner = refiner
        self.recompute = recompute

    def forward(self, queries: Tensor, keys: Tensor, places: Tensor) -> tuple[SparseMatch, Tensor]:
        """Match one level.

        Args:
            queries: (B, C, h, w), unit vectors of the condition.
            keys: (B, C, h', w'), unit vectors of the exemplar.
            places: (B, P, 2, h, w), first candidates.

        Returns:
            The match, and the K places (B, K, 2, h, w) it looks at.
        """
        exemplar_grid: Grid = (keys.shape[-2], keys.shape[-1])
        grid: Grid = (queries.shape[-2], queries.shape[-1])
        own = own_places(grid, exemplar_grid, places.device).to(places.dtype)
        rows = queries.flatten(2).transpose(1, 2).contiguous()
        columns = keys.flatten(2).transpose(1, 2).contiguous()

        def choose(pool: list[Tensor], known: Tensor | None = None) -> tuple[Tensor, Tensor]:
            candidates = torch.cat(pool, dim=1)
            return best_of(rows, columns, candidates, exemplar_grid, self.candidates, known)

        places, scores = choose([places])
        moved = False
        state = None
        if self.refiner is not None:
            partner = flat_index(places[:, :1], exemplar_grid).expand(-1, columns.shape[2], -1)
            partners = keys.flatten(2).gather(2, partner).unflatten(2, grid)
            state = self.refiner.start(queries, partners)
        for turn in range(self.iterations):
            axes = AXES if turn % 2 == 0 else AXES[::-1]
            for axis in axes:
                pool = [places, propagate(places, own, axis, self.propagation)]
                if axis == axes[-1] and self.search:
                    radius = max(1, self.radius >> turn)
                    pool.append(around(places[:, :1], self.search, radius, turn, self.training))
                places, scores = choose(pool, None if moved else scores)
                moved = False
            if self.refiner is not None and state is not None:
                state, moves = self._refine(state, scores, places - own, exemplar_grid)
                places, moved = inside(places + moves, exemplar_grid), True
        return self._match(rows, columns, places, scores, exemplar_grid), places

    def _refine(
        self, state: Tensor, scores: Tensor, flow: Tensor, exemplar_grid: Grid
    ) -> tuple[Tensor, Tensor]:
        assert self.refiner is not None
        if not (self.recompute and torch.is_grad_enabled()):
            found: tuple[Tensor, Tensor] = self.refiner(state, scores, flow, exemplar_grid)
        else:
            # the flow is read without its graph, so that none need be kept for it
            flow = flow.detach()
            found = checkpoint(
                self.refiner, state, scores, flow, exemplar_grid, use_reentrant=False
            )
        return found

    def _match(
        self, rows: Tensor, columns: Tensor, places: Tensor, scores: Tensor, exemplar_grid: Grid
    ) -> SparseMatch:
        """Softmax over the candidates of the cosine at their places."""
        grid: Grid = (places.shape[-2], places.shape[-1])
        if self.refiner is None:
            index = flat_index(places, exemplar_grid)
            share = None
            cosines = gather_dot(rows, columns, index)
        else:
            index, share = corners(places, exemplar_grid)
            at_corners = gather_dot(rows, columns, index).unflatten(1, share.shape[1:3])
            cosines = (at_corners * share).sum(2)
        logits = cosines / self.temperature
        weights = logits.masked_fill(scores.flatten(2).isneginf(), -torch.inf).softmax(1)
        if share is not None:
            weights = (weights.unsqueeze(2) * share).flatten(1, 2)
        return SparseMatch(index, weights, grid, exemplar_grid)


def corners(places: Tensor, exemplar_grid: Grid) -> tuple[Tensor, Tensor]:
    """The four cells around each place, and their bilinear shares, which carry its gradient.

    Args:
        places: (B, K, 2, h, w), inside the grid.
        exemplar_grid: (h, w) of the exemplar.

    Returns:
        Numbers of the cells (B, 4 K, N) int64, and shares (B, K, 4, N) that sum to 1 over the four.
    """
    row, column = places.flatten(3).unbind(2)
    sides = []
    for place, count in ((row, exemplar_grid[0]), (column, exemplar_grid[1])):
        low = place.detach().floor().clamp_max(max(count - 2, 0))
        part = place - low
        cells = [low.long(), (low.long() + 1).clamp_max(count - 1)]
        sides.append(list(zip(cells, (1 - part, part), strict=True)))
    found = [
        (y * exemplar_grid[1] + x, share_y * share_x)
        for y, share_y in sides[0]
        for x, share_x in sides[1]
    ]
    index = torch.stack([cell for cell, _ in found], dim=2).flatten(1, 2)
    return index, torch.stack([share for _, share in found], dim=2)
