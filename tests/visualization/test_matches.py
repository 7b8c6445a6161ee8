from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch

from mcltoolkit.errors import ConfigError
from mcltoolkit.visualization.images import colour_labels, to_uint8
from mcltoolkit.visualization.matches import (
    WRONG,
    choose_places,
    draw_match,
    matched_places,
    position_key,
    position_map,
)

PALETTE = [(10, 20, 30), (200, 0, 0), (0, 0, 255)]


@pytest.fixture
def partners() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randperm(24, generator=generator) for _ in range(3)])


def test_points_follow_the_permutation_of_their_own_sample(make_predictions, partners) -> None:
    places = [(0, 0), (1, 5), (3, 2)]
    for i, prediction in enumerate(make_predictions(partners)):
        expected = [divmod(int(partners[i, row * 6 + column]), 6) for row, column in places]
        assert matched_places(prediction, places) == expected
    assert matched_places(prediction, []) == []
    with pytest.raises(ConfigError, match=r"\(4, 0\).*0\.\.3"):
        matched_places(prediction, [(4, 0)])


def test_points_on_an_exemplar_grid_of_another_shape(make_predictions) -> None:
    partners = torch.tensor([[9] * 24])
    prediction = make_predictions(partners, exemplar_grid=(5, 2))[0]
    assert matched_places(prediction, [(2, 3)]) == [(4, 1)]
    assert position_map(prediction).shape == (4, 6, 3)
    assert (position_map(prediction) == position_key((5, 2))[4, 1]).all()


def test_position_map_permutes_the_key(make_predictions, partners) -> None:
    key = position_key((4, 6)).reshape(24, 3)
    assert len({tuple(colour) for colour in key.tolist()}) == 24
    for i, prediction in enumerate(make_predictions(partners)):
        assert (position_map(prediction).reshape(24, 3) == key[partners[i].numpy()]).all()


def test_undecided_match_is_grey(make_predictions, partners) -> None:
    prediction = make_predictions(partners)[1]
    prediction.match.weights.fill_(1 / 24)
    assert np.ptp(position_map(prediction).astype(int), axis=-1).max() <= 1


def test_chosen_places_reach_every_class_and_differ(make_predictions, partners) -> None:
    prediction = make_predictions(partners, classes=3)[0]
    labels = torch.zeros(16, 24, dtype=torch.long)
    labels[8:, 12:] = 1
    labels[0:4, 0:4] = 2
    places = choose_places(dataclasses.replace(prediction, labels=labels), 7)
    assert len(set(places)) == 7
    found = [int(labels[row * 4 + 2, column * 4 + 2]) for row, column in places[:3]]
    assert found == [0, 1, 2]
    plain = choose_places(dataclasses.replace(prediction, labels=None), 4)
    assert sorted(plain) == [(1, 1), (1, 4), (3, 1), (3, 4)]
    assert len(choose_places(prediction, 1)) == 1


def test_drawing_leaves_the_pictures_as_they_are_without_points(make_predictions, partners) -> None:
    prediction = make_predictions(partners)[0]
    drawn = draw_match(prediction, points=[], palette=PALETTE)
    # 24 pixels wide: the factor 13 comes nearest to 320.
    assert drawn.shape == (16 * 13, 2 * 24 * 13 + 40, 3)
    assert (drawn[6::13, 6 : 24 * 13 : 13] == colour_labels(prediction.labels, PALETTE)).all()
    right = drawn[6::13, 24 * 13 + 40 + 6 :: 13]
    assert (right == to_uint8(prediction.exemplar)).all()
    assert (drawn[:, 24 * 13 : 24 * 13 + 40] == 255).all()
    see_through = draw_match(prediction, points=[], palette=PALETTE, background=None)
    assert (see_through[:, 24 * 13 : 24 * 13 + 40, 3] == 0).all()
    assert (see_through[:, : 24 * 13, 3] == 255).all()


def test_marker_and_line_join_the_point_with_its_partner(make_predictions) -> None:
    partners = torch.arange(24)[None].clone()
    partners[0, 1 * 6 + 1] = 3 * 6 + 5
    prediction = make_predictions(partners)[0]
    same = draw_match(prediction, points=[], palette=PALETTE).astype(int)
    drawn = draw_match(prediction, points=[(1, 1)], palette=PALETTE).astype(int)
    changed = (drawn != same).any(-1)
    cell, shift = 4 * 13, 24 * 13 + 40
    start = (int(1.5 * cell), int(1.5 * cell))
    end = (int(3.5 * cell), int(shift + 5.5 * cell))
    # A disc covers its place, away from the digit in its middle, in the same colour at both ends.
    assert (drawn[start[0] - 9, start[1]] == drawn[end[0] - 9, end[1]]).all()
    assert changed[start[0] - 9 : start[0] + 9, start[1]].all()
    middle = [(a + b) // 2 for a, b in zip(start, end, strict=True)]
    assert changed[middle[0] - 2 : middle[0] + 3, middle[1]].any()
    # Where the point would land without the permutation, nothing is drawn.
    other = (start[0], shift + int(1.5 * cell))
    assert not changed[other[0] - 9 : other[0] + 9, other[1] - 9 : other[1] + 9].any()


def test_red_ring_marks_a_wrong_class_only_where_the_right_one_exists(make_predictions) -> None:
    partners = torch.arange(24)[None].clone()
    partners[0, 0] = 23  # from class 0 on the left to class 1 on the right
    prediction = make_predictions(partners)[0]

    def red(p: object) -> int:
        drawn = draw_match(p, points=[(0, 0), (2, 2)], palette=[(0, 0, 0)] * 3)
        return int((drawn == WRONG).all(-1).sum())

    flat = dataclasses.replace(prediction, exemplar=torch.zeros(3, 16, 24))
    assert red(flat) > 100
    right = dataclasses.replace(flat, exemplar_labels=torch.zeros(16, 24, dtype=torch.long))
    assert red(right) == 0
    absent = dataclasses.replace(flat, exemplar_labels=torch.full((16, 24), 2))
    assert red(absent) == 0
    assert red(dataclasses.replace(flat, exemplar_labels=None)) == 0


def test_large_photos_are_shrunk_and_points_stay_in_their_places(make_predictions) -> None:
    prediction = make_predictions(torch.arange(24)[None], stride=200)[0]
    drawn = draw_match(prediction, points=[(1, 1)], palette=PALETTE).astype(int)
    plain = draw_match(prediction, points=[], palette=PALETTE).astype(int)
    assert drawn.shape == (256, 2 * 384 + 40, 3), "800 x 1200, on 4 x 6 places"
    changed = (drawn != plain).any(-1)
    for centre in (1.5 * 64, 384 + 40 + 1.5 * 64):
        ring = changed[96 - 12 : 96 + 12, int(centre) - 12 : int(centre) + 12]
        assert ring.mean() > 0.7


def test_a_match_that_is_no_number_is_grey(make_predictions) -> None:
    prediction = make_predictions(torch.arange(24)[None])[0]
    prediction.match.weights[:] = torch.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (colour,) = np.unique(position_map(prediction).reshape(-1, 3), axis=0)
    assert np.ptp(colour.astype(int)) < 12
