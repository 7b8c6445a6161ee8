import math

import pytest
import torch

from mcltoolkit.correspondence import CosineMatch
from mcltoolkit.layers import unit_length
from mcltoolkit.metrics import PCK, cycle_error, match_entropy
from mcltoolkit.metrics import coarsened as module
from mcltoolkit.metrics.coarsened import CoarsenedMatch, coarsened, stride_of
from mcltoolkit.structures import Prediction


def make(grid=(6, 8), exemplar_grid=(5, 7), b=2, temperature=0.3):
    n, m = grid[0] * grid[1], exemplar_grid[0] * exemplar_grid[1]
    queries, keys = unit_length(torch.randn(b, 3, n)), unit_length(torch.randn(b, 3, m))
    return CosineMatch(queries, keys, grid, exemplar_grid, temperature)


class Looked:
    """A sparse match given by one partner a position, which refuses to give many rows at once."""

    def __init__(self, partner, grid, exemplar_grid, rows_allowed):
        self.partner, self.grid, self.exemplar_grid = partner, grid, exemplar_grid
        self.rows_allowed = rows_allowed

    def probabilities(self, rows=None):
        assert rows is not None
        assert len(rows) <= self.rows_allowed
        partner = self.partner[:, rows]
        size = self.exemplar_grid[0] * self.exemplar_grid[1]
        return torch.zeros(*partner.shape, size).scatter_(2, partner.unsqueeze(2), 1.0)

    def warp(self, values):
        return values.gather(2, self.partner.unsqueeze(1).expand(-1, values.shape[1], -1))

    def warp_back(self, values):
        size = self.exemplar_grid[0] * self.exemplar_grid[1]
        index = self.partner.unsqueeze(1).expand(-1, values.shape[1], -1)
        total = torch.zeros(*values.shape[:2], size).scatter_add_(2, index, values)
        count = torch.zeros(*values.shape[:2], size).scatter_add_(2, index, torch.ones_like(values))
        return total / count.clamp_min(1)


@pytest.mark.parametrize("at_once", [2**24, 40])
def test_probabilities_are_sums_over_blocks_seen_from_the_middle(monkeypatch, at_once):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    match = make()
    coarse = CoarsenedMatch(match, 2)
    assert (coarse.grid, coarse.exemplar_grid) == ((3, 4), (3, 4))
    fine, found = match.probabilities(), coarse.probabilities()
    for row in range(3):
        for column in range(4):
            seen = fine[:, (2 * row + 1) * 8 + 2 * column + 1].unflatten(1, (5, 7))
            for r in range(3):
                for c in range(4):
                    expected = seen[:, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].sum((1, 2))
                    torch.testing.assert_close(found[:, row * 4 + column, r * 4 + c], expected)
    torch.testing.assert_close(found.sum(2), torch.ones(2, 12))
    some = torch.tensor([7, 0])
    torch.testing.assert_close(coarse.probabilities(some), found[:, some])


@pytest.mark.parametrize("at_once", [2**24, 100])
def test_warps_agree_with_the_fine_match_on_blocks(monkeypatch, at_once):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    match = make()
    coarse = CoarsenedMatch(match, 2)
    values = torch.randn(2, 5, 12)
    torch.testing.assert_close(coarse.warp(values), values @ coarse.probabilities().mT)
    back = coarse.warp_back(values).unflatten(2, (3, 4))
    spread = torch.empty(2, 5, 6, 8)
    for r in range(6):
        for c in range(8):
            spread[:, :, r, c] = values[:, :, r // 2 * 4 + c // 2]
    fine = match.warp_back(spread.flatten(2)).unflatten(2, (5, 7))
    for r in range(3):
        for c in range(4):
            block = fine[:, :, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
            torch.testing.assert_close(back[:, :, r, c], block.mean((2, 3)))


def test_small_matches_are_measured_as_they_are():
    match = make()
    assert coarsened(match) is match
    assert stride_of(match) == 1
    assert coarsened(make((128, 128), (2, 2), b=1)).grid == (128, 128)


@pytest.mark.parametrize(
    ("grids", "stride"),
    [(((6, 8), (5, 7)), 2), (((6, 8), (12, 12)), 3), (((2, 34), (3, 3)), 3)],
)
def test_the_smallest_blocks_that_leave_few_enough(grids, stride):
    match = coarsened(make(*grids, b=1), largest=16, measured=16)
    assert stride_of(match) == stride
    assert max(h * w for h, w in (match.grid, match.exemplar_grid)) <= 16


def identity(side, right=0):
    """Each position looks at itself, `right` columns on, torus-wise."""
    n = torch.arange(side * side)
    partner = n // side * side + (n % side + right) % side
    return partner[None]


def test_a_large_match_is_measured_in_pieces():
    side = 132  # N * M = 3e8
    match = Looked(identity(side), (side, side), (side, side), rows_allowed=700)
    entropy, coverage = match_entropy(match)
    assert entropy.item() == pytest.approx(0, abs=1e-6)
    assert coverage.item() == 1


def test_cycle_error_of_blocks_is_told_in_cells():
    side = 4
    same = Looked(identity(side), (side,) * 2, (side,) * 2, 99)
    assert cycle_error(CoarsenedMatch(same, 2)).item() == 0
    # every position looks at the first one, which looks back at the first block
    everywhere = Looked(torch.zeros(1, side * side, dtype=torch.long), (side,) * 2, (side,) * 2, 99)
    match = CoarsenedMatch(everywhere, 2)
    assert match.grid == (2, 2)
    found = cycle_error(match).item()
    assert found == pytest.approx(2 * (0 + 1 + 1 + math.sqrt(2)) / 4)


def test_pck_of_a_large_match():
    side, right = 132, 33
    match = Looked(identity(side, right), (side,) * 2, (side,) * 2, rows_allowed=700)
    places = (torch.arange(side) + 0.5) / side * 2 - 1
    x, y = places[None].expand(side, -1), places[:, None].expand(-1, side)
    torus = torch.where(x + 2 * right / side > 1, torch.nan, x + 2 * right / side)
    image = torch.zeros(3, 4, 4)
    samples = [
        Prediction("s", image, image, image, image, match, 0, exemplar_positions=positions)
        for positions in (torch.stack([torus, y]), torch.stack([x, y]))
    ]
    metric = PCK(alphas=[0.03])
    metric.process(None, samples[:1])
    assert metric.evaluate(1) == {"pck@0.03": 1.0}
    metric.process(None, samples[1:])
    assert metric.evaluate(1) == {"pck@0.03": 0.0}
