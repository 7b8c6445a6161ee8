"""The match inspector, against permutations and matches written out as matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.errors import ConfigError
from mcltoolkit.metrics.coarsened import CoarsenedMatch
from mcltoolkit.visualization import inspector
from mcltoolkit.visualization.inspector import (
    draw_heat,
    heat_colours,
    place_of_pixel,
    seen_by,
    seen_from,
)

GRID, OTHER = (4, 6), (5, 3)


def cosine_match(seed=0, temperature=0.2):
    generator = torch.Generator().manual_seed(seed)

    def units(count):
        return torch.nn.functional.normalize(torch.randn(2, 8, count, generator=generator), dim=1)

    return CosineMatch(units(24), units(15), GRID, OTHER, temperature)


def test_a_permutation_is_found_in_both_directions(make_predictions):
    partners = torch.stack([torch.randperm(24) for _ in range(2)])
    predictions = make_predictions(partners, (4, 6), (3, 8))
    for prediction, partner in zip(predictions, partners.tolist(), strict=True):
        for position in range(24):
            heat, peak = seen_from(prediction, None, divmod(position, 6))
            there = divmod(partner[position], 8)
            assert peak == there
            assert heat.shape == (3, 8)
            assert heat[there] == 1
            assert heat.sum() == 1
            back, home = seen_by(prediction, None, there)
            assert home == divmod(position, 6)
            assert back.shape == (4, 6)
            assert back[home] == 1
            assert back.sum() == 1


def test_heat_is_the_row_and_the_column_of_the_matrix():
    match = cosine_match()
    logits = match.queries.transpose(1, 2) @ match.keys / 0.2
    matrix = torch.softmax(logits, 2).double().numpy()
    for index in (0, 1):
        for position in (0, 7, 23):
            heat, peak = seen_from(match, index, divmod(position, 6))
            row = matrix[index, position].reshape(OTHER)
            np.testing.assert_allclose(heat, row, atol=1e-6)
            assert heat.sum() == pytest.approx(1, abs=1e-6)
            assert peak == np.unravel_index(row.argmax(), OTHER)
        for position in (0, 4, 14):
            heat, peak = seen_by(match, index, divmod(position, 3))
            column = matrix[index, :, position].reshape(GRID)
            np.testing.assert_allclose(heat, column / column.max(), atol=1e-5)
            assert peak == np.unravel_index(column.argmax(), GRID)


def test_a_prediction_names_its_own_sample(make_predictions):
    first, second = make_predictions(torch.stack([torch.arange(24), torch.arange(24).flip(0)]))
    assert seen_from(first, None, (0, 0)).peak == (0, 0)
    assert seen_from(second, None, (0, 0)).peak == (3, 5)
    assert seen_from(second, 0, (0, 0)).peak == (0, 0)
    assert seen_by(second.match, 1, (0, 0)).peak == (3, 5)


def test_nobody_looks_at_an_unused_place(make_predictions):
    (prediction,) = make_predictions(torch.zeros(1, 24, dtype=torch.long))
    heat, peak = seen_by(prediction, None, (2, 2))
    assert peak is None
    assert not heat.any()
    assert (seen_by(prediction, None, (0, 0)).heat == 1).all()


def test_a_coarsened_match_is_read_alike():
    match = CoarsenedMatch(cosine_match(), 2)
    assert match.grid == (2, 3)
    assert match.exemplar_grid == (3, 2)
    for position in range(6):
        heat, _ = seen_from(match, 1, divmod(position, 3))
        expected = match.probabilities()[1, position].reshape(3, 2).numpy()
        np.testing.assert_allclose(heat, expected, atol=1e-6)
        assert heat.sum() == pytest.approx(1, abs=1e-6)


def test_pixels_belong_to_the_cells_that_they_lie_in():
    size, grid = (30, 40), (3, 8)
    for y in range(30):
        for x in range(40):
            assert place_of_pixel(x, y, size, grid) == (y // 10, x // 5)
    assert place_of_pixel(4.99, 9.99, size, grid) == (0, 0)
    assert place_of_pixel(-3, 31, size, grid) == (2, 0)
    assert place_of_pixel(40, 30, size, grid) == (2, 7)


@pytest.mark.parametrize("place", [(-1, 0), (4, 0), (0, 6)])
def test_places_outside_are_refused(make_predictions, place):
    (prediction,) = make_predictions(torch.arange(24)[None])
    for look in (seen_from, seen_by):
        with pytest.raises(ConfigError, match=r"rows 0\.\.3 and columns 0\.\.5"):
            look(prediction, None, place)
    with pytest.raises(ConfigError, match="grid"):
        draw_heat(np.zeros((8, 12, 3), np.uint8), np.zeros((4, 6)), place)


def test_samples_outside_the_batch_are_refused():
    for look in (seen_from, seen_by):
        with pytest.raises(ConfigError, match=r"sample 2 .*0\.\.1"):
            look(cosine_match(), 2, (0, 0))
        with pytest.raises(ConfigError, match="index"):
            look(cosine_match(), None, (0, 0))


def test_heat_colours_the_cells_and_leaves_the_rest_paled():
    picture = np.full((40, 60, 3), (200, 100, 0), np.uint8)
    heat = np.zeros((4, 6))
    heat[1, 2] = 0.02
    drawn = draw_heat(picture, heat)
    cell = np.zeros((40, 60), bool)
    cell[10:20, 20:30] = True
    paled = 100 + inspector.COLOUR_LEFT * (np.array([200, 100, 0]) - 100)
    assert (drawn[~cell] == np.rint(paled)).all()
    hot = paled + inspector.STRONGEST * (inspector.RAMP[-1] - paled)
    assert (drawn[cell] == np.rint(hot)).all()
    assert (draw_heat(picture, heat * 7) == drawn).all()
    assert (draw_heat(picture, heat * 0) == np.rint(paled)).all()


def test_the_peak_is_ringed_and_its_middle_left_free():
    picture = np.full((88, 88, 3), 90, np.uint8)
    plain = draw_heat(picture, np.zeros((4, 4)))
    drawn = draw_heat(picture, np.zeros((4, 4)), (1, 2))
    ys, xs = np.nonzero((drawn != plain).any(-1))
    assert (ys.mean(), xs.mean()) == pytest.approx((32.5, 54.5), abs=1)
    assert (drawn[32:34, 54:56] == plain[32:34, 54:56]).all()
    assert drawn.max() > 220
    assert drawn.min() < 60


def test_heat_grows_lighter():
    lightness = heat_colours(np.linspace(0, 1, 50)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()
