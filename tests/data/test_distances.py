from __future__ import annotations

import numpy as np
import pytest

from mcltoolkit.data.distances import distance_map


@pytest.mark.parametrize("size", [(9, 14), (40, 31), (1, 20)])
def test_it_is_a_third_of_the_l1_distance_rounded_down(size):
    rng = np.random.default_rng(3)
    marked = rng.random(size) < 0.02
    marked[rng.integers(size[0]), rng.integers(size[1])] = True
    places = np.argwhere(marked)
    rows, columns = np.indices(size)
    steps = [np.abs(rows - r) + np.abs(columns - c) for r, c in places]
    np.testing.assert_array_equal(distance_map(marked), np.min(steps, axis=0) // 3)


def test_far_away_is_255():
    marked = np.zeros((1, 1000), dtype=bool)
    marked[0, 0] = True
    found = distance_map(marked)[0]
    assert found.dtype == np.uint8
    assert found[[764, 765, 767, 768, 999]].tolist() == [254, 255, 255, 255, 255]


def test_nothing_marked_is_far_everywhere():
    assert (distance_map(np.zeros((3, 4), dtype=bool)) == 255).all()
