import pytest

from mcltoolkit.data import SeededSampler, ShardSampler
from mcltoolkit.errors import ConfigError


class Sharded:
    """Shards of 5 samples."""

    def __init__(self, length=60):
        self.shards = [index // 5 for index in range(length)]

    def __len__(self):
        return len(self.shards)


def test_an_epoch_stays_within_windows_and_misses_nothing():
    data = Sharded()
    sampler = ShardSampler(data, window=3)
    draws = list(sampler)
    assert sorted(draw.index for draw in draws) == list(range(60))
    assert [draw.number for draw in draws] == list(range(60))
    shards = [data.shards[draw.index] for draw in draws]
    for start in range(0, 60, 15):
        assert len(set(shards[start : start + 15])) == 3
    assert shards[:15] != sorted(shards[:15])  # mixed within the window
    assert sorted(set(shards[:15])) != [0, 1, 2]  # and the shards themselves


def test_each_epoch_has_an_order_of_its_own_that_can_be_entered_anywhere():
    sampler = ShardSampler(Sharded(), window=2, seed=4)
    sampler.set_epoch(3)
    whole = list(sampler)
    sampler.set_epoch(4)
    assert [d.index for d in sampler] != [d.index for d in whole]
    again = ShardSampler(Sharded(), window=2, seed=4)
    again.set_epoch(3)
    again.skip(17)
    assert list(again) == whole[17:]


def test_ranks_share_one_order(monkeypatch):
    whole = list(ShardSampler(Sharded()))
    for rank in range(3):
        monkeypatch.setattr("mcltoolkit.data.samplers.get_dist_info", lambda rank=rank: (rank, 3))
        assert list(ShardSampler(Sharded())) == whole[rank::3]


def test_unshuffled_it_is_the_plain_order():
    assert list(ShardSampler(Sharded(), shuffle=False)) == list(
        SeededSampler(Sharded(), shuffle=False)
    )


def test_what_is_not_allowed():
    with pytest.raises(ConfigError, match="window is 0"):
        ShardSampler(Sharded(), window=0)
    with pytest.raises(ConfigError, match="TarShards; use SeededSampler"):
        ShardSampler(range(4))
