"""A folder data set as tar shards."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from rich.progress import track

from mcltoolkit.data.conditions import LabelMaps
from mcltoolkit.data.exemplar_dataset import RecordDataset
from mcltoolkit.data.records import Picture, Record, few
from mcltoolkit.data.shards.index import ShardIndex, index_shards
from mcltoolkit.data.storage import read_bytes
from mcltoolkit.errors import ConfigError, DataError

MEGABYTE = 10**6
Files = list[tuple[str, bytes]]


def make_shards(
    dataset: Any,
    out: str | Path,
    split: str,
    shard_size: float = 256.0,
    exemplars: int = 2,
    progress: bool = False,
) -> ShardIndex:
    """Write `SPLIT-NNNNN.tar` and, last, the index `SPLIT.json`.

    Files are copied as they are. Each sample is self-contained, so an exemplar of many conditions
    is there as many times.

    Args:
        dataset: a data set of images and label maps, such as `FolderDataset`.
        out: folder, made if need be.
        split: what the files are called.
        shard_size: MB (10^6 bytes) at which a new shard is begun.
        exemplars: how many of each sample's to pack: the first so many minus one, and the last,
            which are those that `ExemplarChoice` takes; 0 packs none.
        progress: show a bar.

    Raises:
        ConfigError: the data set is of another kind, a setting is not allowed, or files of that
            split are there already.
        DataError: a file cannot be read.
    """
    if not isinstance(dataset, RecordDataset) or type(dataset.source) is not LabelMaps:
        raise ConfigError(
            f"a {type(dataset).__name__} cannot be put into shards: allowed are data sets of one "
            f"image and one label map a sample, such as FolderDataset and ADE20K"
        )
    if not shard_size > 0 or exemplars < 0:
        raise ConfigError(
            f"shard size {shard_size} MB with {exemplars} exemplars; allowed are values above 0, "
            f"and 0 or more exemplars"
        )
    out = Path(out)
    present = sorted(file.name for file in out.glob(f"{split}-*.tar")) + (
        [f"{split}.json"] if (out / f"{split}.json").exists() else []
    )
    if present:
        raise ConfigError(
            f"{out} holds {few(present)} already; nothing was written: remove them, or choose "
            f"another output folder or split"
        )
    keys = _keys([record.condition.name for record in dataset.records])
    numbered: Any = list(zip(keys, dataset.records, strict=True))
    if progress:
        numbered = track(numbered, description=f"shards of {split}")
    paths: list[Path] = []
    with _removed_unless_finished(out, split):
        for files in _filled(
            (_files(key, record, exemplars) for key, record in numbered), shard_size * MEGABYTE
        ):
            paths.append(out / f"{split}-{len(paths):05d}.tar")
            _write(_part(paths[-1]), files)
        for path in paths:
            os.replace(_part(path), path)
        index = index_shards(paths, tuple(dataset.source.classes))
        index.write(out / f"{split}.json")
    return index


def make_index(
    folder: str | Path, split: str, classes: tuple[str, ...] | None = None
) -> ShardIndex:
    """Write the index of shards that are there, `SPLIT-*.tar`; an older index is replaced.

    Raises:
        DataError: there are none, or one is broken.
    """
    folder = Path(folder)
    paths = sorted(folder.glob(f"{split}-*.tar"))
    if not paths:
        raise DataError(f"{folder} holds no {split}-*.tar; correct the folder or the split")
    index = index_shards(paths, classes)
    index.write(folder / f"{split}.json")
    return index


def _filled(samples: Iterable[Files], size: float) -> Iterator[Iterable[Files]]:
    """Samples in runs of at most so many bytes, or of one sample; use a run before the next."""
    waiting = iter(samples)
    held = [sample for sample in [next(waiting, None)] if sample is not None]

    def run() -> Iterator[Files]:
        written = 0
        while held:
            files = held.pop()
            written += sum(len(content) for _, content in files)
            yield files
            following = next(waiting, None)
            if following is None:
                return
            held.append(following)
            if written + sum(len(content) for _, content in following) > size:
                return

    while held:
        yield run()


def _write(path: Path, samples: Iterable[Files]) -> None:
    with tarfile.open(path, "w") as tar:
        for files in samples:
            for name, content in files:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def _keys(names: list[str]) -> list[str]:
    """A key for each name: no dots, each once."""
    keys = [name.replace(".", "_") for name in names]
    if len(set(keys)) < len(keys):
        return [f"{number:08d}" for number in range(len(names))]
    return keys


def _files(key: str, record: Record, exemplars: int) -> Files:
    packed = record.exemplars
    if len(packed) > exemplars:
        packed = packed[:exemplars] if exemplars < 2 else (*packed[: exemplars - 1], packed[-1])
    about = {"name": record.condition.name, "exemplars": [p.name for p in packed]}
    files = [(f"{key}.json", json.dumps(about).encode()), *_pair(key, record.condition)]
    for place, picture in enumerate(packed):
        files += _pair(f"{key}.{place}", picture)
    return files


def _pair(key: str, picture: Picture) -> Files:
    suffix = PurePath(picture.image).suffix.lower().removeprefix(".")
    image = "image.png" if suffix == "png" else suffix
    try:
        return [
            (f"{key}.{image}", read_bytes(picture.image)),
            (f"{key}.png", read_bytes(picture.labels)),
        ]
    except OSError as error:
        raise DataError(
            f"{picture.image} or {picture.labels} cannot be read ({error}); restore the files"
        ) from error


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


@contextmanager
def _removed_unless_finished(out: Path, split: str) -> Iterator[None]:
    """Leave nothing behind where writing failed: there were no such files before."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for path in (*out.glob(f".{split}-*.tar.part"), *out.glob(f"{split}-*.tar")):
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ConfigError(
                f"shards cannot be written to {out} ({error.strerror or error}); free the disk or "
                f"choose another output folder"
            ) from error
        raise
