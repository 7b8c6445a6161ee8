"""An order that stays within a few shards at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mcltoolkit.data.samplers import SeededSampler
from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ShardSampler(SeededSampler):
    """As `SeededSampler`, but shuffles shards first, then the samples of a window of shards.

    So a cache needs to hold the shards of two windows, and disks read near to each other. The
    shards' order is new for each epoch, and so are the windows.

    Args:
        dataset: with `shards`, the shard of each sample, such as `TarShards`.
        window: shards that are mixed with each other.
        shuffle, seed, round_up: see `SeededSampler`.

    Raises:
        ConfigError: the data set tells no shards, or a setting is not allowed.
    """

    def __init__(
        self,
        dataset: Any,
        window: int = 4,
        shuffle: bool = True,
        seed: int | None = 0,
        round_up: bool = True,
    ) -> None:
        super().__init__(dataset, shuffle, seed, round_up)
        if not isinstance(window, int) or window < 1:
            raise ConfigError(f"ShardSampler.window is {window!r}; allowed are values >= 1")
        shards = getattr(dataset, "shards", None)
        if shards is None:
            raise ConfigError(
                "ShardSampler needs a data set in shards, such as TarShards; use SeededSampler"
            )
        self.window = window
        self._members: dict[int, list[int]] = {}
        for index, shard in enumerate(shards):
            self._members.setdefault(shard, []).append(index)

    def _shuffled(self, generator: torch.Generator) -> Sequence[int]:
        shards = list(self._members.values())
        places = torch.randperm(len(shards), generator=generator).tolist()
        order: list[int] = []
        for start in range(0, len(places), self.window):
            mixed = [i for place in places[start : start + self.window] for i in shards[place]]
            shuffled = torch.randperm(len(mixed), generator=generator).tolist()
            order += [mixed[place] for place in shuffled]
        return order
