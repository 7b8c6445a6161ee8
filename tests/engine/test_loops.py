from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader

from mcltoolkit.data import SeededSampler
from mcltoolkit.engine.loops import TranslationTrainLoop
from mcltoolkit.errors import ConfigError


class Numbers:
    """Item i is (i, draw number)."""

    metainfo = {}

    def __len__(self):
        return 7

    def __getitem__(self, draw):
        return draw.index * 1000 + draw.number


def seen(start, steps, batch_size=2):
    dataset = Numbers()
    loader = DataLoader(
        dataset, batch_size, sampler=SeededSampler(dataset, shuffle=True, seed=3), drop_last=True
    )
    runner = SimpleNamespace(visualizer=SimpleNamespace(), logger=None, world_size=1)
    loop = TranslationTrainLoop(runner, loader, max_iters=steps)
    loop.resume({"iter": start}, "a file")
    batches = loop._batches()
    return [next(batches)[0].tolist() for _ in range(steps - start)]


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4, 8])
def test_resuming_anywhere_sees_the_data_an_uninterrupted_run_sees(start):
    assert seen(start, 11) == seen(0, 11)[start:]


def test_each_epoch_has_another_order():
    batches = seen(0, 9)
    first, second = ([n // 1000 for b in part for n in b] for part in (batches[:3], batches[3:6]))
    assert first != second


def test_epochs_are_counted_in_iterations():
    dataset = Numbers()
    loader = DataLoader(dataset, 2, sampler=SeededSampler(dataset), drop_last=True)
    runner = SimpleNamespace(visualizer=SimpleNamespace(), logger=None, world_size=1)
    assert TranslationTrainLoop(runner, loader, max_epochs=4).max_iters == 12


@pytest.mark.parametrize("lengths", [{}, {"max_iters": 1, "max_epochs": 1}])
def test_exactly_one_length_is_needed(lengths):
    dataset = Numbers()
    loader = DataLoader(dataset, 2, sampler=SeededSampler(dataset))
    runner = SimpleNamespace(visualizer=SimpleNamespace(), logger=None, world_size=1)
    with pytest.raises(ConfigError, match="set one of them"):
        TranslationTrainLoop(runner, loader, **lengths)


def test_less_data_than_a_batch_is_an_error():
    dataset = Numbers()
    loader = DataLoader(dataset, 8, sampler=SeededSampler(dataset), drop_last=True)
    runner = SimpleNamespace(visualizer=SimpleNamespace(), logger=None, world_size=1)
    with pytest.raises(ConfigError, match="7 samples, fewer than one batch of 8"):
        TranslationTrainLoop(runner, loader, max_iters=1)
