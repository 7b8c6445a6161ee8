"""Data sets larger than a disk: tar shards with an index, local or fetched and cached."""

from mcltoolkit.data.shards.cache import ShardCache
from mcltoolkit.data.shards.dataset import ShardFolder, TarShards
from mcltoolkit.data.shards.index import ShardIndex, ShardSample, index_shards
from mcltoolkit.data.shards.sampler import ShardSampler
from mcltoolkit.data.shards.write import make_index, make_shards

__all__ = [
    "ShardCache",
    "ShardFolder",
    "ShardIndex",
    "ShardSample",
    "ShardSampler",
    "TarShards",
    "index_shards",
    "make_index",
    "make_shards",
]
