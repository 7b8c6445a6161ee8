import re

import numpy as np
import pytest
import torch

from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.structures import Prediction
from mcltoolkit.web.inspection import exemplar_heat, output_heat


class Permutation:
    """A match in which each position looks at one place, all its weight there."""

    grid = (4, 5)
    exemplar_grid = (3, 6)

    def __init__(self, places):
        self.weights = torch.zeros(1, 20, 18)
        self.weights[0, torch.arange(20), torch.tensor(places)] = 1

    def probabilities(self, rows=None):
        return self.weights if rows is None else self.weights[:, rows]

    def warp(self, values):
        return values @ self.weights.transpose(1, 2)

    def warp_back(self, values):
        return values @ self.weights


@pytest.fixture
def result():
    """The networks saw 40 x 50, of which 33 x 47 are shown; a cell of the grid has 10 pixels."""
    places = [17 - (k % 18) for k in range(20)]
    image = torch.rand(3, 40, 50) * 2 - 1
    exemplar = torch.rand(3, 36, 48) * 2 - 1
    prediction = Prediction(
        "a", image, image, exemplar, torch.zeros(6, 40, 50), Permutation(places), 0
    )
    return TranslationResult(prediction, (33, 47), (33, 47))


def test_the_peak_is_where_the_point_looks(result):
    for x, y in [(0, 0), (46, 32), (25, 17), (9, 10)]:
        position = (y // 10) * 5 + x // 10
        row, column = divmod(17 - position % 18, 6)
        heat, words = exemplar_heat(result, ((x + 0.5) / 47, (y + 0.5) / 33))
        assert words.startswith(f"Output at x {x}, y {y}: ")
        assert f"x {column * 8 + 4}, y {row * 12 + 6}, with 100% of the weight" in words
        factor = heat.shape[0] // 33
        assert heat.shape == (33 * factor, 47 * factor, 3)


def test_the_reverse(result):
    x, y = 20, 14  # column 2 of 6, row 1 of 3: position 8, looked at by 9 = 17 - 8
    _, words = output_heat(result, ((x + 0.5) / 47, (y + 0.5) / 33))
    assert (
        words == "Exemplar at x 20, y 14: used most by the ringed place of the output, x 45, y 15."
    )
    result.prediction.match.weights[0, 9] = 0
    result.prediction.match.weights[0, 9, 0] = 1
    _, words = output_heat(result, ((x + 0.5) / 47, (y + 0.5) / 33))
    assert words.endswith("no place of the output uses it.")


def test_heat_lies_where_the_weight_is(result):
    heat, words = exemplar_heat(result, (0.01, 0.01))
    x, y = map(int, re.findall(r"exemplar, x (\d+), y (\d+)", words)[0])
    assert (x, y) == (44, 30)
    factor = heat.shape[0] // 33
    plain = (result.prediction.exemplar[:, :33, :47].permute(1, 2, 0).numpy() + 1) * 127.5
    grey = plain.mean(-1, keepdims=True)
    paled = (grey + 0.35 * (plain - grey)).repeat(factor, 0).repeat(factor, 1)
    changed = np.abs(heat - paled).max(-1) > 3
    assert changed[24 * factor :, 40 * factor :].mean() > 0.9
    assert changed[: 15 * factor, : 30 * factor].mean() == 0
