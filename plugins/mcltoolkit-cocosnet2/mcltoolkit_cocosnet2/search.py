"""PatchMatch (Barnes et al., SIGGRAPH 2009) for all positions at once, on feature maps.

Each position keeps K candidate places in the exemplar's grid. Candidates come from the coarser
level, from neighbours (shifted as the neighbour is: where the flow is constant, one right place
spreads) and from a search around the best one; the K distinct ones of highest score stay.

A place is (row, column) in cells of the exemplar's grid, whole numbers being cell centres. Places
(B, K, 2, h, w) may carry a graph, which every step here keeps; the choice itself has none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mcltoolkit.structures import Match
from mcltoolkit_cocosnet2.gather import gather_dot

Grid = tuple[int, int]
ROWS_AT_ONCE = 512
# the eight neighbours, clockwise; every other one lies straight
RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def own_places(grid: Grid, exemplar_grid: Grid, device: torch.device | str = "cpu") -> Tensor:
    """(2, h, w) float32: where a match that moves nothing looks; both images fill one square."""
    axes = [
        (torch.arange(count, device=device, dtype=torch.float32) + 0.5) * (cells / count) - 0.5
        for count, cells in zip(grid, exemplar_grid, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


@torch.no_grad()
def top_partners(match: Match, count: int) -> Tensor:
    """The exemplar places of largest weight in a dense match, (B, K, 2, h, w), heaviest first.

    Args:
        match: its rows are asked for a block at a time.
        count: K; where the exemplar has fewer positions, all of them.
    """
    columns = match.exemplar_grid[1]
    count = min(count, match.exemplar_grid[0] * columns)
    blocks = torch.arange(match.grid[0] * match.grid[1]).split(ROWS_AT_ONCE)
    best = torch.cat([match.probabilities(rows).topk(count, dim=2)[1] for rows in blocks], dim=1)
    places = torch.stack([best // columns, best % columns], dim=1).float()
    return places.transpose(2, 3).transpose(1, 2).unflatten(3, match.grid)


@torch.no_grad()
def children(places: Tensor, exemplar_grid: Grid) -> Tensor:
    """Candidates on a grid twice as fine, which each position takes over from its parent.

    Args:
        places: (B, K, 2, h, w) on the coarser grids.
        exemplar_grid: of the finer level.

    Returns:
        (B, 4 K, 2, 2 h, 2 w), whole numbers: the four cells nearest to each of the places.
    """
    upsampled = places.repeat_interleave(2, -2).repeat_interleave(2, -1)
    row, column = (2 * upsampled + 0.5).floor().unbind(2)
    row, column = row.clamp(0, exemplar_grid[0] - 2), column.clamp(0, exemplar_grid[1] - 2)
    return torch.cat(
        [torch.stack([row + dy, column + dx], dim=2) for dy in (0, 1) for dx in (0, 1)], dim=1
    )


def propagate(places: Tensor, own: Tensor, axis: int, distances: Sequence[int]) -> Tensor:
    """Candidates from neighbours along one axis.

    Args:
        places: (B, K, 2, h, w).
        own: (2, h, w), see `own_places`.
        axis: -2 for neighbours above and below, -1 for those left and right.
        distances: how far away neighbours are, in positions.

    Returns:
        (B, 2 D K, 2, h, w) for D distances: the neighbour's place moved as the neighbour lies.
        Beyond the border stands the border's own last position.
    """
    flow = places - own
    count = flow.shape[axis]
    steps = torch.arange(count, device=flow.device)
    found = [
        flow.index_select(axis, (steps + sign * distance).clamp(0, count - 1)) + own
        for distance in distances
        for sign in (-1, 1)
    ]
    return torch.cat(found, dim=1)


@torch.no_grad()
def around(best: Tensor, count: int, radius: int, turn: int, random: bool) -> Tensor:
    """Candidates around a place.

    Args:
        best: (B, 1, 2, h, w).
        count: R, how many.
        radius: half the side of the square that is searched, in cells.
        turn: number of the iteration, which turns the fixed pattern.
        random: draw them in the square, for each position anew, from torch's generator; else take
            `count` of the eight directions at the distance of the radius.

    Returns:
        (B, R, 2, h, w), possibly outside the grid.
    """
    if random:
        shape = (best.shape[0], count, *best.shape[2:])
        drawn = torch.rand(shape, device=best.device, dtype=best.dtype) * (2 * radius + 1)
        return best + drawn.floor().clamp_max(2 * radius) - radius
    chosen = [RING[(i * len(RING) // count + turn) % len(RING)] for i in range(count)]
    row, column = best.unbind(2)
    return torch.cat(
        [torch.stack([row + radius * dy, column + radius * dx], dim=2) for dy, dx in chosen], dim=1
    )


def inside(places: Tensor, exemplar_grid: Grid) -> Tensor:
    """Places (B, K, 2, h, w) moved to the nearest place in the exemplar's grid."""
    row, column = places.unbind(2)
    height, width = exemplar_grid
    return torch.stack([row.clamp(0, height - 1), column.clamp(0, width - 1)], dim=2)


@torch.no_grad()
def flat_index(places: Tensor, exemplar_grid: Grid) -> Tensor:
    """Numbers (B, K, h * w) int64 of the cells nearest to places (B, K, 2, h, w) in the grid."""
    row, column = inside(places, exemplar_grid).round().long().flatten(3).unbind(2)
    return row * exemplar_grid[1] + column


def best_of(
    queries: Tensor,
    keys: Tensor,
    places: Tensor,
    exemplar_grid: Grid,
    count: int,
    known: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The distinct candidates of highest score.

    Args:
        queries: (B, N, C), unit vectors of the condition's positions.
        keys: (B, M, C), unit vectors of the exemplar's.
        places: (B, P, 2, h, w), candidates; of several in the same cell the first one counts.
        exemplar_grid: (h, w) of the exemplar.
        count: K; where P is smaller, all candidates stay.
        known: scores (B, Q, h, w) of the first Q candidates from an earlier call, which need not be
            computed again.

    Returns:
        Places (B, K, 2, h, w) inside the grid, best first, and their scores (B, K, h, w): the
        cosine at the nearest cell, or -inf for one of too few distinct candidates. The scores have
        no graph.
    """
    with torch.no_grad():
        index = flat_index(places, exemplar_grid)
        if known is None:
            scores = gather_dot(queries, keys, index)
        else:
            fresh = gather_dot(queries, keys, index[:, known.shape[1] :])
            scores = torch.cat([known.flatten(2), fresh], dim=1)
        for j in range(1, index.shape[1]):
            repeated = (index[:, :j] == index[:, j : j + 1]).any(1)
            scores[:, j].masked_fill_(repeated, -torch.inf)
        scores, chosen = scores.topk(min(count, index.shape[1]), dim=1)
        grid = places.shape[-2:]
        scores, chosen = scores.unflatten(2, grid), chosen.unflatten(2, grid)
    best = places.gather(1, chosen.unsqueeze(2).expand(-1, -1, 2, -1, -1))
    return inside(best, exemplar_grid), scores
