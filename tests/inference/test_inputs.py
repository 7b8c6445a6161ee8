import numpy as np
import pytest

from mcltoolkit.errors import ConfigError
from mcltoolkit.inference import choose_size


def labels(*size):
    return np.zeros(size, np.uint8)


def image(*size):
    return np.zeros((*size, 3), np.uint8)


@pytest.mark.parametrize(
    ("wanted", "condition", "exemplar", "test_size", "expected"),
    [
        ((96, 32), labels(64, 64), image(64, 64), (64, 64), (96, 32)),  # what is asked for
        (None, np.zeros((5, 96, 32)), image(64, 64), (64, 64), (96, 32)),  # maps as they are
        ((96, 32), np.zeros((5, 96, 32)), image(64, 64), (64, 64), (96, 32)),
        (None, labels(32, 64), image(32, 64), (64, 64), (32, 64)),  # one size that fits
        (None, labels(64, 64), image(64, 64), None, (64, 64)),
        (None, labels(128, 64), image(128, 64), (64, 64), (64, 64)),  # larger than at test
        (None, labels(32, 64), image(64, 32), (64, 64), (64, 64)),  # of two sizes
        (None, labels(33, 64), image(33, 64), (64, 64), (64, 64)),  # the stride does not fit
    ],
)
def test_the_rule(wanted, condition, exemplar, test_size, expected):
    assert choose_size(wanted, condition, exemplar, 32, test_size) == expected


def test_nothing_tells_a_size():
    with pytest.raises(ConfigError, match="no common size that 32 divides; give --size"):
        choose_size(None, labels(40, 40), image(64, 64), 32, None)


def test_maps_are_not_resized():
    with pytest.raises(ConfigError, match="--size 64 64 with a condition of 32 x 32 numbers"):
        choose_size((64, 64), np.zeros((5, 32, 32)), image(64, 64), 32, None)
