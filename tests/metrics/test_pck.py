import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.correspondence import CosineMatch
from mcltoolkit.data import SyntheticScenes
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.layers import unit_length
from mcltoolkit.metrics import PCK, matched_positions, true_positions
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction


class GivenMatch:
    """A match with given weights (B, N, M)."""

    def __init__(self, weights, grid, exemplar_grid):
        self.weights, self.grid, self.exemplar_grid = weights, grid, exemplar_grid

    def probabilities(self, rows=None):
        return self.weights if rows is None else self.weights[:, rows]


def prediction(match, positions, index=0, name="scene"):
    image = torch.zeros(3, 4, 4)
    return Prediction(name, image, image, image, image, match, index, exemplar_positions=positions)


def identity(size):
    """Each pixel's own place."""
    y, x = ((2 * torch.arange(side) + 1) / side - 1 for side in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))


def cells_to(columns, rows, grid, exemplar_grid):
    """A match that sends condition cell n to exemplar cell (columns[n], rows[n])."""
    weights = F.one_hot(rows * exemplar_grid[1] + columns, exemplar_grid[0] * exemplar_grid[1])
    return GivenMatch(weights[None].float(), grid, exemplar_grid)


def shifted(right, down, side):
    """The match that is off by whole cells, torus-wise."""
    n = torch.arange(side * side)
    return cells_to((n % side + right) % side, (n // side + down) % side, (side,) * 2, (side,) * 2)


def score(samples, **settings):
    metric = PCK(**settings)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def random_match(b=2, grid=(6, 8), exemplar_grid=(5, 7)):
    n, m = grid[0] * grid[1], exemplar_grid[0] * exemplar_grid[1]
    queries, keys = unit_length(torch.randn(b, 3, n)), unit_length(torch.randn(b, 3, m))
    return CosineMatch(queries, keys, grid, exemplar_grid, temperature=0.3)


def loop_share(match, positions, index, alpha, soft):
    """By hand: bilinear look-up between pixel centres, every cell in turn."""
    (h, w), (eh, ew) = match.grid, match.exemplar_grid
    height, width = positions.shape[1:]
    right = counted = 0
    for r in range(h):
        for c in range(w):
            py, px = (r + 0.5) * height / h - 0.5, (c + 0.5) * width / w - 0.5
            y0, x0 = math.floor(py), math.floor(px)
            true = torch.zeros(2)
            for y, x in [(y0, x0), (y0, x0 + 1), (y0 + 1, x0), (y0 + 1, x0 + 1)]:
                share = (1 - abs(y - py)) * (1 - abs(x - px))
                if share > 0:
                    true += share * positions[:, y, x]
            if true.isnan().any():
                continue
            weights = match.probabilities()[index, r * w + c]
            if soft:
                row = sum(float(weights[i]) * (i // ew) for i in range(eh * ew))
                column = sum(float(weights[i]) * (i % ew) for i in range(eh * ew))
            else:
                row, column = divmod(int(weights.argmax()), ew)
            off = math.hypot(
                column - ((float(true[0]) + 1) / 2 * ew - 0.5),
                row - ((float(true[1]) + 1) / 2 * eh - 0.5),
            )
            counted += 1
            right += off <= alpha * max(eh, ew)
    return right, counted


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("cell", [1, 2, 3])
def test_equals_an_explicit_loop(soft, cell):
    match = random_match()
    positions = torch.rand(2, 2, 6 * cell, 8 * cell) * 2 - 1
    positions[0, :, : 2 * cell] = math.nan
    positions[1, :, cell, 3 * cell] = math.nan
    counts = torch.tensor(
        [[loop_share(match, positions[i], i, a, soft) for a in (0.15, 0.4)] for i in (0, 1)]
    )
    right, counted = counts.sum(0).unbind(1)
    found = score(
        [prediction(match, positions[i], i) for i in (0, 1)], alphas=[0.15, 0.4], soft=soft
    )
    assert found == {
        "pck@0.15": pytest.approx(float(right[0] / counted[0])),
        "pck@0.4": pytest.approx(float(right[1] / counted[1])),
    }
    assert 0 < found["pck@0.15"] < found["pck@0.4"]


def test_the_match_that_a_known_warp_gives_is_perfect_within_a_cell():
    sample = SyntheticScenes("test", exemplar="warped", size=(64, 96))[0]
    grid = (16, 24)
    # At the pixel right of the cell's centre, independently of the metric's look-up.
    places = sample.exemplar_positions[:, 2::4, 2::4].flatten(1).nan_to_num()
    columns = ((places[0] + 1) / 2 * 24).long().clamp(0, 23)
    rows = ((places[1] + 1) / 2 * 16).long().clamp(0, 15)
    match = cells_to(columns, rows, grid, grid)
    found = score([prediction(match, sample.exemplar_positions)], alphas=[1 / 24, 0.1])
    assert found == {"pck@0.0416667": pytest.approx(1.0, abs=0.01), "pck@0.1": 1.0}


@pytest.mark.parametrize("size", [(8, 8), (24, 24), (32, 32)])
def test_without_a_warp_the_diagonal_is_exact_at_every_resolution(size):
    assert score([prediction(shifted(0, 0, 8), identity(size))], alphas=[1e-4]) == {"pck@0.0001": 1}


def test_a_match_that_is_three_cells_off_counts_from_three_cells_on():
    """Torus-wise, so the three columns and rows that run over the edge are five cells off."""
    side = 8
    found = score(
        [prediction(shifted(3, 0, side), identity((16, 16)))],
        alphas=[2.9 / side, 3.1 / side, 4.9 / side, 5.1 / side],
    )
    assert list(found.values()) == [0, 5 / 8, 5 / 8, 1]
    diagonal = score(
        [prediction(shifted(3, 3, side), identity((16, 16)))],
        alphas=[4.2 / side, 4.3 / side, 5.8 / side, 5.9 / side, 7.1 / side],
    )
    assert list(diagonal.values()) == [0, 25 / 64, 25 / 64, 55 / 64, 1]


def test_a_random_match_scores_what_chance_gives():
    side, alpha = 12, 0.25
    reach = alpha * side
    cells = [(r, c) for r in range(side) for c in range(side)]
    near = sum(math.dist(a, b) <= reach for a in cells for b in cells)
    chance = near / len(cells) ** 2
    weights = torch.rand(40, side * side, side * side)
    match = GivenMatch(weights, (side, side), (side, side))
    samples = [prediction(match, identity((side, side)), i) for i in range(40)]
    deviation = math.sqrt(chance * (1 - chance) / (40 * side * side))
    assert score(samples, alphas=[alpha])["pck@0.25"] == pytest.approx(chance, abs=4 * deviation)


def test_blocks_do_not_change_the_result():
    match = random_match()
    for soft in (False, True):
        whole = matched_positions(match, soft)
        for block in (1, 7, 48):
            torch.testing.assert_close(matched_positions(match, soft, block), whole)


def test_every_position_weighs_the_same_and_unknown_ones_nothing():
    match, nowhere = shifted(0, 0, 4), torch.full((2, 4, 4), math.nan)
    half = identity((4, 4))
    half[:, :2] = math.nan
    wrong = prediction(shifted(2, 0, 4), half)
    samples = [prediction(match, identity((4, 4))), wrong, prediction(match, nowhere)]
    assert score(samples, alphas=[0.05]) == {"pck@0.05": pytest.approx(16 / 24)}
    assert score([prediction(match, nowhere)]) == {}


def test_repeated_samples_of_a_padded_rank_are_cut_off():
    samples = [prediction(shifted(k, 0, 4), identity((4, 4))) for k in (0, 2, 0)]
    metric = PCK(alphas=[0.05])
    metric.process(None, samples)
    assert metric.evaluate(2) == {"pck@0.05": 0.5}


def test_grids_of_different_size_use_the_exemplars_cells():
    true = true_positions(identity((8, 12)), (4, 6), (2, 3))
    columns = (torch.arange(6) + 0.5) / 2 - 0.5
    torch.testing.assert_close(true[0].reshape(4, 6), columns.expand(4, 6), atol=1e-6, rtol=0)


def test_the_model_hands_the_known_positions_on(tiny_gan, scenes):
    gan = tiny_gan().eval()
    positions = torch.rand(2, 2, 32, 32)
    found = gan.test_step(scenes(exemplar_positions=positions))
    assert torch.equal(torch.stack([p.exemplar_positions for p in found]), positions)
    shares = score(found, alphas=[0.2, 2])
    assert 0 < shares["pck@0.2"] < shares["pck@2"] == 1


def test_samples_without_a_known_match_are_explained():
    with pytest.raises(DataError, match=r"'street' has no exemplar_positions.*exemplar='warped'"):
        PCK().process(None, [prediction(SimpleNamespace(), None, name="street")])


@pytest.mark.parametrize("alphas", [[], [0.1, 0]])
def test_alphas_that_mean_nothing(alphas):
    with pytest.raises(ConfigError, match=r"PCK\.alphas is .*allowed is a list of values > 0"):
        METRICS.build(dict(type="PCK", alphas=alphas))
