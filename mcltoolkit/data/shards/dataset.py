"""A data set in tar shards, on this machine's disk or far away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

from mcltoolkit.data.conditions import Colours
from mcltoolkit.data.exemplar_dataset import ExemplarDataset, Step
from mcltoolkit.data.exemplars import ExemplarChoice
from mcltoolkit.data.records import Picture, Record
from mcltoolkit.data.shards.cache import ShardCache
from mcltoolkit.data.shards.index import ShardIndex, ShardSample
from mcltoolkit.data.storage import Member, fetch, is_remote
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.registry import DATASETS

IMAGES = ("jpg", "jpeg", "image.png", "webp", "bmp", "tif", "tiff")
LABELS = "png"


class ShardFolder:
    """Where the shards of an index lie.

    Args:
        root: a folder or a URL.
        index: of the shards.
        backend_args, attempts: see `storage.fetch`.
        cache_dir, cache_size: see `ShardCache`; used where `root` is a URL.

    Raises:
        ConfigError: the cache is smaller than a shard.
    """

    def __init__(
        self,
        root: str | Path,
        index: ShardIndex,
        backend_args: Mapping[str, Any] | None = None,
        attempts: int = 3,
        cache_dir: str | None = None,
        cache_size: float = 20.0,
    ) -> None:
        self.root, self.index = root, index
        self.fetch = partial(fetch, backend_args=backend_args, attempts=attempts)
        self.cache = ShardCache(cache_dir, cache_size) if is_remote(root) else None
        largest = max(size for _, size in index.shards)
        if self.cache is not None and largest > self.cache.bound:
            raise ConfigError(
                f"cache_size is {cache_size} GB, the largest shard of {root} has "
                f"{largest / 1e9:.3g} GB; allowed is at least that, better room for all that "
                f"the sampler's window takes"
            )

    def name(self, shard: int) -> str:
        """Path or URL of a shard."""
        name = self.index.shards[shard][0]
        return f"{str(self.root).rstrip('/')}/{name}" if self.cache else str(Path(self.root, name))

    def local(self, shard: int) -> Path:
        """The shard as a local file.

        Raises:
            DataError: it is missing or cannot be fetched.
        """
        url, size = self.name(shard), self.index.shards[shard][1]
        if self.cache is not None:
            return self.cache.get(url, size, partial(self.fetch, url))
        path = Path(url)
        if not path.is_file():
            raise DataError(
                f"shard {path} does not exist; copy it again, or correct data_root (--data-root)"
            )
        return path


class ShardRecords(Sequence[Record]):
    """The records of an index, made when asked for: there may be millions."""

    def __init__(self, folder: ShardFolder, samples: Sequence[ShardSample]) -> None:
        self.folder, self.samples = folder, samples

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, item: int) -> Record: ...

    @overload
    def __getitem__(self, item: slice) -> Sequence[Record]: ...

    def __getitem__(self, item: int | slice) -> Record | Sequence[Record]:
        if isinstance(item, slice):
            return ShardRecords(self.folder, self.samples[item])
        sample = self.samples[item]
        exemplars = tuple(
            self._picture(sample, name, f"{place}.") for place, name in enumerate(sample.exemplars)
        )
        return Record(self._picture(sample, sample.name), exemplars)

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))

    def _picture(self, sample: ShardSample, name: str, prefix: str = "") -> Picture:
        wanted = (prefix + ending for ending in IMAGES)
        image = next((ending for ending in wanted if ending in sample.fields), None)
        if image is None or prefix + LABELS not in sample.fields:
            raise DataError(
                f"sample {sample.key!r} in shard {self.folder.name(sample.shard)} has the fields "
                f"{', '.join(sorted(sample.fields))}; needed are an image ({prefix}"
                f"{f', {prefix}'.join(IMAGES)}) and its label map ({prefix}{LABELS}): make the "
                f"shards again"
            )
        return Picture(name, self._member(sample, image), self._member(sample, prefix + LABELS))

    def _member(self, sample: ShardSample, ending: str) -> Member:
        shown = f"{self.folder.name(sample.shard)}::{sample.key}.{ending}"
        return Member.at(self.folder, sample.shard, shown, sample.fields[ending])


@DATASETS.register_module()
class TarShards(ExemplarDataset):
    """Label-map data set in tar shards of webdataset's layout, as tools/make_shards.py writes them.

        data_root/training.json           the index, see `ShardIndex`
        data_root/training-00000.tar      KEY.jpg and KEY.png, an image and its label map;
                                          KEY.0.jpg and KEY.0.png its first exemplar, and so on

    Samples equal those of the data set that the shards were made from, bit for bit. Sample a
    `ShardSampler`'s order where reading is slow.

    Args:
        data_root: a folder, or a URL of any prefix that mmengine's file backends serve. Shards
            from a URL are fetched whole and kept in `cache_dir`.
        split: names the index.
        num_classes, classes: None take the index's classes.
        backend_args: of mmengine's file backend, such as dict(backend='petrel', ...).
        attempts: how often to try to fetch a shard before it counts as unreadable.
        cache_dir: folder on a local disk; None takes the system's temporary folder.
        cache_size: bound of the cache in GB; the shards unused for longest make room.
        max_samples: use the first so many; None uses all.
        palette, ignore_label, label_map, geometry, exemplar_geometry, exemplar_choice, seed: see
            `ExemplarDataset`.

    Raises:
        DataError: the index is missing or broken.
        ConfigError: a setting is not allowed.
    """

    def __init__(
        self,
        data_root: str | Path,
        split: str = "training",
        num_classes: int | None = None,
        classes: Sequence[str] | None = None,
        backend_args: Mapping[str, Any] | None = None,
        attempts: int = 3,
        cache_dir: str | None = None,
        cache_size: float = 20.0,
        max_samples: int | None = None,
        palette: Colours | None = None,
        ignore_label: int | None = None,
        label_map: Mapping[int, int] | None = None,
        geometry: Iterable[Step] = (),
        exemplar_geometry: Iterable[Step] | None = None,
        exemplar_choice: ExemplarChoice | Mapping[str, Any] | str = "recipe",
        seed: int = 0,
    ) -> None:
        if max_samples is not None and max_samples < 1:
            raise ConfigError(f"max_samples is {max_samples}; allowed are values >= 1, or None")
        if is_remote(data_root):
            path = f"{str(data_root).rstrip('/')}/{split}.json"
            content = fetch(path, backend_args, attempts)
        else:
            path = str(Path(data_root, f"{split}.json"))
            try:
                content = Path(path).read_bytes()
            except (OSError, ValueError) as error:
                raise DataError(
                    f"shard index {path} cannot be read ({error}); make shards with "
                    f"tools/make_shards.py, or correct split or data_root (--data-root)"
                ) from error
        index = ShardIndex.parse(content, path)
        folder = ShardFolder(data_root, index, backend_args, attempts, cache_dir, cache_size)
        names = classes if classes is not None else index.classes
        if num_classes is None and names is None:
            raise ConfigError(
                f"the number of classes is unknown: shard index {path} names none; set num_classes"
            )
        samples = index.samples[:max_samples]
        self.shards = [sample.shard for sample in samples]
        super().__init__(
            ShardRecords(folder, samples),
            num_classes=num_classes or len(names or ()),
            classes=names,
            palette=palette,
            ignore_label=ignore_label,
            label_map=label_map,
            geometry=geometry,
            exemplar_geometry=exemplar_geometry,
            exemplar_choice=exemplar_choice,
            seed=seed,
        )
