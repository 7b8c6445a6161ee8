from __future__ import annotations

import pytest

from mcltoolkit.data import Draw, SeededSampler
from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import DATA_SAMPLERS


def ranks(monkeypatch, world: int, length: int, **settings) -> list[SeededSampler]:
    samplers = []
    for rank in range(world):
        monkeypatch.setattr(
            "mcltoolkit.data.samplers.get_dist_info", lambda rank=rank: (rank, world)
        )
        samplers.append(SeededSampler(range(length), **settings))
    return samplers


def test_an_epoch_is_a_permutation_with_running_numbers():
    sampler = SeededSampler(range(20), seed=3)
    sampler.set_epoch(2)
    draws = list(sampler)
    assert sorted(d.index for d in draws) == list(range(20))
    assert [d.index for d in draws] != list(range(20))
    assert [d.number for d in draws] == list(range(40, 60))
    assert len(sampler) == 20


def test_order_depends_on_seed_and_epoch_alone():
    first, second = SeededSampler(range(50), seed=1), SeededSampler(range(50), seed=1)
    assert list(first) == list(second) == list(first)
    other = [d.index for d in SeededSampler(range(50), seed=2)]
    second.set_epoch(1)
    assert [d.index for d in first] != other
    assert [d.index for d in first] != [d.index for d in second]


def test_unshuffled_yields_plain_indices():
    assert list(SeededSampler(range(4), shuffle=False)) == [0, 1, 2, 3]


def test_ranks_partition_the_order_that_one_process_sees(monkeypatch):
    whole = list(SeededSampler(range(12), seed=5))
    parts = [list(s) for s in ranks(monkeypatch, 2, 12, seed=5)]
    assert [d for pair in zip(*parts, strict=True) for d in pair] == whole


def test_padding_wraps_around_and_numbers_stay_unique(monkeypatch):
    samplers = ranks(monkeypatch, 4, 10, seed=5)
    parts = [list(s) for s in samplers]
    assert [len(p) for p in parts] == [len(s) for s in samplers] == [3, 3, 3, 3]
    merged = [d for row in zip(*parts, strict=True) for d in row]
    assert [d.index for d in merged[10:]] == [d.index for d in merged[:2]]
    for s in samplers:
        s.set_epoch(1)
    numbers = [d.number for d in merged] + [d.number for s in samplers for d in s]
    assert sorted(numbers) == list(range(24))


def test_padding_works_with_more_ranks_than_samples(monkeypatch):
    assert [list(s) for s in ranks(monkeypatch, 5, 2, shuffle=False)] == [[0], [1], [0], [1], [0]]


def test_without_rounding_each_sample_is_seen_once(monkeypatch):
    samplers = ranks(monkeypatch, 3, 7, shuffle=False, round_up=False)
    assert [list(s) for s in samplers] == [[0, 3, 6], [1, 4], [2, 5]]
    assert [len(s) for s in samplers] == [3, 2, 2]


@pytest.mark.parametrize("shuffle", [True, False])
def test_skip_equals_continuing_and_happens_once(monkeypatch, shuffle):
    for sampler in ranks(monkeypatch, 2, 15, shuffle=shuffle, seed=9):
        sampler.set_epoch(1)
        whole = list(sampler)
        for count in (0, 3, len(sampler)):
            sampler.skip(count)
            assert list(sampler) == whole[count:]
            assert list(sampler) == whole


def test_skip_beyond_the_epoch_is_refused():
    with pytest.raises(ConfigError, match=r"cannot skip 6 samples of rank 0; allowed are 0\.\.5"):
        SeededSampler(range(5)).skip(6)


def test_an_empty_data_set_is_refused():
    with pytest.raises(ConfigError, match="the data set is empty"):
        SeededSampler([])


def test_the_runner_builds_it_by_name():
    built = DATA_SAMPLERS.build(
        dict(type="SeededSampler", shuffle=True), default_args=dict(dataset=range(3), seed=None)
    )
    assert sorted(d.index for d in built) == [0, 1, 2]
    assert all(isinstance(d, Draw) for d in built)
