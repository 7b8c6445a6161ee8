import pytest
import torch

from mcltoolkit.correspondence import CosineMatch
from mcltoolkit.layers import unit_length
from mcltoolkit.metrics import CycleError, cycle_error
from mcltoolkit.structures import Prediction


def make(grid=(3, 4), exemplar_grid=(2, 5), b=2, seed=0):
    torch.manual_seed(seed)
    n, m = grid[0] * grid[1], exemplar_grid[0] * exemplar_grid[1]
    return CosineMatch(
        unit_length(torch.randn(b, 3, n)), unit_length(torch.randn(b, 3, m)), grid, exemplar_grid
    )


def loop_error(match, index):
    cosines = match.queries[index].T @ match.keys[index]
    w = match.grid[1]
    total = 0.0
    for i in range(len(cosines)):
        j = int(cosines[i].argmax())
        back = int(cosines[:, j].argmax())
        total += ((i // w - back // w) ** 2 + (i % w - back % w) ** 2) ** 0.5
    return total / len(cosines)


@pytest.mark.parametrize("block", [512, 5, 1])
def test_equals_an_explicit_loop(block):
    match = make()
    found = cycle_error(match, block)
    assert found.tolist() == pytest.approx([loop_error(match, 0), loop_error(match, 1)])
    assert found.min() > 0


def test_a_permutation_returns_home():
    torch.manual_seed(1)
    features = unit_length(torch.randn(1, 8, 12))
    match = CosineMatch(features, features[:, :, torch.randperm(12)], (3, 4), (4, 3))
    assert cycle_error(match).tolist() == [0.0]


def test_a_match_that_sends_all_to_one_corner_has_the_mean_distance_to_one_position():
    queries = torch.zeros(1, 2, 6)
    queries[0, 0] = 1  # every condition position looks alike, except that the first fits best
    queries[0, :, 1:] = unit_length(torch.tensor([[1.0, 0.2]])).T
    keys = torch.tensor([[[1.0, -1.0], [0.0, 0.0]]])
    match = CosineMatch(queries, keys, (2, 3), (1, 2))
    expected = (0 + 1 + 2 + 1 + 2**0.5 + 5**0.5) / 6
    assert cycle_error(match).item() == pytest.approx(expected)


def test_metric_takes_each_samples_own_value():
    first, second = make(seed=0), make(seed=1)
    image = torch.zeros(3, 4, 4)
    samples = [
        Prediction("case", image, image, image, image, match, index)
        for match, index in [(first, 0), (first, 1), (second, 1)]
    ]
    metric = CycleError()
    metric.process(None, samples)
    expected = (loop_error(first, 0) + loop_error(first, 1) + loop_error(second, 1)) / 3
    assert metric.evaluate(3) == {"cycle_error": pytest.approx(expected)}
