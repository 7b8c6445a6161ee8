from __future__ import annotations

import pickle

import numpy as np
import pytest

from mcltoolkit.data import Draw
from mcltoolkit.data.draws import check_seed, resolve_draw
from mcltoolkit.errors import ConfigError


def first_number(item: int | Draw, *entropy: int) -> float:
    return resolve_draw(item, 10, *entropy)[2].random()


def test_the_same_call_gives_the_same_stream():
    assert first_number(Draw(3, 7), 1) == first_number(Draw(3, 7), 1)
    assert first_number(3, 1) == first_number(3, 1) == first_number(np.int64(3), 1)


def test_every_part_of_a_draw_changes_the_stream():
    items = [3, 4, Draw(3, 0), Draw(3, 1), Draw(4, 0)]
    numbers = [first_number(item, seed) for item in items for seed in (0, 1)]
    assert len(set(numbers)) == len(numbers)


def test_a_draw_is_an_index_and_travels_to_workers():
    assert list("abc")[Draw(1, 99)] == "b"
    assert pickle.loads(pickle.dumps(Draw(1, 99))) == Draw(1, 99)


def test_indices_follow_the_habits_of_sequences():
    assert resolve_draw(-1, 10)[0] == 9
    for wrong in (10, -11, Draw(10, 0)):
        with pytest.raises(IndexError, match="data set of 10 samples"):
            resolve_draw(wrong, 10)


def test_negative_seed_is_refused():
    with pytest.raises(ConfigError, match=r"seed is -1; allowed are integers >= 0"):
        check_seed(-1)
