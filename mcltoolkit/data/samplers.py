"""A sampler whose order depends on seed and epoch alone, and which can start in mid-epoch.

Same role as mmengine's DefaultSampler; mmengine resumes by replaying batches, this one skips.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mcltoolkit.data.draws import Draw, check_seed
from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class SeededSampler(Sampler[int | Draw]):
    """Each rank's share `order[rank::world]` of one order that all ranks agree on.

    Shuffled, it yields `Draw(index, number)`, where `number` is unique over epochs and ranks;
    the stream of all ranks together is then the same for every world size that divides it.
    Unshuffled, it yields plain indices, so that a test sees the same samples every time.

    Args:
        dataset: anything with a length.
        shuffle: a new order for each epoch.
        seed: of the order; None agrees on a random one between the ranks.
        round_up: pad the order by its own beginning, so that all ranks get the same number.

    Raises:
        ConfigError: the data set is empty, or the seed is negative.
    """

    def __init__(
        self,
        dataset: Sized,
        shuffle: bool = True,
        seed: int | None = 0,
        round_up: bool = True,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        if len(dataset) == 0:
            raise ConfigError("the data set is empty: 0 samples found, at least 1 is needed")
        self.shuffle = shuffle
        self.seed = check_seed(sync_random_seed() if seed is None else seed)
        self.round_up = round_up
        self.epoch = 0
        self._skip = 0

    @property
    def total_size(self) -> int:
        """Samples of one epoch over all ranks, padding included."""
        count = len(self.dataset)
        if self.round_up:
            return -(-count // self.world_size) * self.world_size
        return count

    def __len__(self) -> int:
        """Samples of one whole epoch of this rank."""
        return len(range(self.rank, self.total_size, self.world_size))

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration."""
        self.epoch = epoch

    def skip(self, count: int) -> None:
        """Start the next iteration, and only that one, after `count` of this rank's samples.

        Raises:
            ConfigError: `count` is not within one epoch.
        """
        if not 0 <= count <= len(self):
            raise ConfigError(
                f"cannot skip {count} samples of rank {self.rank}; allowed are 0..{len(self)}, "
                f"call set_epoch for whole epochs"
            )
        self._skip = count

    def __iter__(self) -> Iterator[int | Draw]:
        # Read now: a generator function would look at epoch and skip only at the first sample.
        start, self._skip = self._skip, 0
        return self._samples(self.epoch, start)

    def _shuffled(self, generator: torch.Generator) -> Sequence[int]:
        """All indices in the order that the generator gives."""
        return torch.randperm(len(self.dataset), generator=generator).tolist()

    def _samples(self, epoch: int, start: int) -> Iterator[int | Draw]:
        count, total = len(self.dataset), self.total_size
        order: Sequence[int] = range(count)
        if self.shuffle:
            order = self._shuffled(torch.Generator().manual_seed(self.seed + epoch))
        for place in range(self.rank + start * self.world_size, total, self.world_size):
            index = order[place % count]
            yield Draw(index, epoch * total + place) if self.shuffle else index
