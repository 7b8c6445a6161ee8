from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mcltoolkit.data import class_palette, colour_labels


@pytest.mark.parametrize(("num_classes", "apart"), [(6, 100), (12, 70), (151, 15)])
def test_colours_lie_apart(num_classes, apart):
    palette = np.array(class_palette(num_classes))
    assert palette.shape == (num_classes, 3)
    assert min(np.linalg.norm(a - b) for a, b in combinations(palette, 2)) > apart


def test_palette_is_stable_and_grows():
    assert class_palette(20) == class_palette(20)
    assert class_palette(20)[:6] == class_palette(6)


def test_too_many_classes_are_refused():
    with pytest.raises(ValueError, match="5000 classes"):
        class_palette(5000)


def test_labels_become_colours():
    picture = colour_labels(np.array([[0, 1], [1, 1]]), [(1, 2, 3), (4, 5, 6)])
    assert picture.tolist() == [[[1, 2, 3], [4, 5, 6]], [[4, 5, 6], [4, 5, 6]]]
