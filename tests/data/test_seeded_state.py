import random

import numpy as np
import torch

from mcltoolkit.data.seeded_state import seeded_state


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_the_same_entropy_gives_the_same_numbers_whatever_was_drawn_before():
    with seeded_state(1, 2, 3):
        first = draws()
    draws()
    with seeded_state(1, 2, 3):
        assert draws() == first
    with seeded_state(1, 2, 4):
        assert not set(draws()) & set(first)


def test_generators_go_on_as_if_nothing_had_been():
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    draws()
    expected = draws()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    draws()
    try:
        with seeded_state(9):
            draws()
            raise KeyError
    except KeyError:
        pass
    assert draws() == expected


def test_without_restoring_the_seed_stays():
    with seeded_state(7):
        expected = [draws(), draws()]
    with seeded_state(7, restore=False):
        first = draws()
    assert [first, draws()] == expected
