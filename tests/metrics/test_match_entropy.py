import math

import pytest
import torch

from mcltoolkit.correspondence import CosineMatch
from mcltoolkit.layers import unit_length
from mcltoolkit.metrics import MatchEntropy, match_entropy
from mcltoolkit.structures import Prediction


def make(temperature=0.2):
    torch.manual_seed(0)
    queries, keys = unit_length(torch.randn(2, 3, 12)), unit_length(torch.randn(2, 3, 10))
    return CosineMatch(queries, keys, (3, 4), (2, 5), temperature)


def loop_values(match, index):
    weights = match.probabilities()[index].tolist()
    entropy = sum(-p * math.log(p) for row in weights for p in row if p > 0) / len(weights)
    used = {max(range(len(row)), key=row.__getitem__) for row in weights}
    return entropy / math.log(len(weights[0])), len(used) / len(weights[0])


@pytest.mark.parametrize("block", [512, 5])
def test_equals_an_explicit_loop(block):
    match = make()
    entropy, coverage = match_entropy(match, block)
    for index in range(2):
        expected = loop_values(match, index)
        assert (entropy[index].item(), coverage[index].item()) == pytest.approx(expected)


def test_extremes_are_zero_and_one():
    uniform = CosineMatch(torch.zeros(1, 3, 6), torch.zeros(1, 3, 6), (2, 3), (2, 3))
    entropy, coverage = match_entropy(uniform)
    assert entropy.item() == pytest.approx(1.0)
    assert coverage.item() == pytest.approx(1 / 6)
    sharp = CosineMatch(torch.eye(6)[None], torch.eye(6)[None], (2, 3), (2, 3))
    entropy, coverage = match_entropy(sharp)
    assert entropy.item() == pytest.approx(0.0, abs=1e-6)
    assert coverage.item() == 1.0


def test_metric_averages_samples():
    match, image = make(), torch.zeros(3, 4, 4)
    metric = MatchEntropy()
    metric.process(
        None, [Prediction("case", image, image, image, image, match, i) for i in range(2)]
    )
    found = metric.evaluate(2)
    first, second = loop_values(match, 0), loop_values(match, 1)
    assert found == {
        "match_entropy": pytest.approx((first[0] + second[0]) / 2),
        "match_coverage": pytest.approx((first[1] + second[1]) / 2),
    }
