import numpy as np
import pytest

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.inference import choose_size
from mcltoolkit.inference.sizes import pad_edge, padded_size


def labels(*size):
    return np.zeros(size, np.uint8)


@pytest.mark.parametrize(
    ("wanted", "condition", "test_size", "expected", "why"),
    [
        ((96, 32), labels(64, 64), (64, 96), (96, 32), "the size asked for"),
        ([33, 31], labels(64, 64), None, (33, 31), "the size asked for"),
        (None, np.zeros((5, 96, 32)), (64, 96), (96, 32), "maps, which are not resized"),
        ((96, 32), np.zeros((5, 96, 32)), (64, 96), (96, 32), "maps, which are not resized"),
        ("own", np.zeros((5, 96, 32)), (64, 96), (96, 32), "maps, which are not resized"),
        (None, labels(32, 64), (64, 96), (32, 64), "is 64x96, give --size 64 96 for that"),
        (None, labels(33, 51), (64, 96), (33, 51), "own size of the condition; the model's test"),
        (None, labels(64, 96), (64, 96), (64, 96), "own size of the condition"),
        (None, labels(64, 97), (64, 96), (64, 96), "own 64x97 is larger; give --size own for that"),
        (None, labels(65, 10), (64, 96), (64, 96), "own 65x10 is larger; give --size own for that"),
        (None, labels(640, 97), None, (640, 97), "fixes no test size"),
        ("own", labels(640, 97), (64, 96), (640, 97), "own size of the condition, as asked for"),
    ],
)
def test_the_rule_and_its_reason(wanted, condition, test_size, expected, why):
    size, said = choose_size(wanted, condition, test_size)
    assert size == expected
    assert why in said
    assert ("--size" in said) == ("--size" in why or "the model's test" in why)


def test_maps_are_not_resized():
    with pytest.raises(DataError, match="--size 64 64 with a condition of 32 x 32 numbers"):
        choose_size((64, 64), np.zeros((5, 32, 32)), None)


@pytest.mark.parametrize("wanted", [(0, 3), (3,), (3.5, 2), "big", (True, 2), "33"])
def test_sizes_that_are_none(wanted):
    with pytest.raises(ConfigError, match="size is .*allowed are height and width"):
        choose_size(wanted, labels(3, 3), None)


@pytest.mark.parametrize(
    ("size", "stride", "expected"),
    [((64, 96), 32, (64, 96)), ((65, 1), 32, (96, 32)), ((7, 9), 6, (12, 12)), ((5, 5), 1, (5, 5))],
)
def test_the_padded_size_is_the_next_multiple(size, stride, expected):
    assert padded_size(size, stride) == expected


def test_padding_repeats_the_last_row_and_column():
    array = np.arange(6).reshape(2, 3)
    assert pad_edge(array, (3, 5)).tolist() == [
        [0, 1, 2, 2, 2],
        [3, 4, 5, 5, 5],
        [3, 4, 5, 5, 5],
    ]
    colours = np.stack([array, 10 * array], -1)
    assert np.array_equal(pad_edge(colours, (3, 5))[..., 1], 10 * pad_edge(array, (3, 5)))
    assert pad_edge(array, (2, 3)) is array
