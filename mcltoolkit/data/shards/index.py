"""The index of a split in tar shards: which bytes of which shard belong to which sample.

Shards are in webdataset's layout: files of one sample follow each other and share their name up to
the first dot. The index is JSON beside them, `SPLIT.json`, written once.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcltoolkit.errors import DataError, described
from mcltoolkit.files import write_atomically

VERSION = 1
Place = tuple[int, int, int | None]


@dataclass(frozen=True)
class ShardSample:
    """One sample.

    Attributes:
        key: what its files are called up to the first dot.
        shard: number of its shard.
        fields: offset, size and CRC-32 of each file, by what follows the first dot (`0.png`).
        name: of the condition.
        exemplars: names of the exemplars packed beside it, best first.
    """

    key: str
    shard: int
    fields: dict[str, Place]
    name: str
    exemplars: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardIndex:
    """All samples of a split.

    Attributes:
        shards: name and size in bytes of each shard.
        samples: in order.
        classes: K class names, where known.
    """

    shards: tuple[tuple[str, int], ...]
    samples: tuple[ShardSample, ...]
    classes: tuple[str, ...] | None = field(default=None)

    def write(self, path: Path) -> None:
        """Write it whole or not at all.

        Raises:
            ConfigError: the place cannot be written.
        """
        content = {"version": VERSION, "shards": self.shards, "classes": self.classes}
        rows = [list(asdict(sample).values()) for sample in self.samples]
        write_atomically(path, json.dumps({**content, "samples": rows}).encode())

    @classmethod
    def parse(cls, content: bytes, path: str) -> ShardIndex:
        """An index from its JSON.

        Args:
            path: what to call it in messages.

        Raises:
            DataError: it is no index, or one of another version, or points outside its shards.
        """
        try:
            found = json.loads(content)
            version = found["version"]
            if version == VERSION:
                return cls._checked(found)
        except Exception as error:  # anything may stand in a broken file
            raise DataError(
                f"shard index {path} cannot be used: {described(error)}; make it anew with "
                f"tools/make_shards.py --index"
            ) from error
        raise DataError(
            f"shard index {path} has version {version!r}, this toolkit reads {VERSION}; make it "
            f"anew with tools/make_shards.py --index"
        )

    @classmethod
    def _checked(cls, found: dict[str, Any]) -> ShardIndex:
        shards = tuple((_text(name), _count(size)) for name, size in found["shards"])
        samples = []
        for key, shard, fields, name, exemplars in found["samples"]:
            size = shards[_count(shard)][1]
            places = {}
            for ending, (start, length, checksum) in fields.items():
                if _count(start) + _count(length) > size:
                    raise ValueError(f"{key}.{ending} ends beyond its shard of {size} bytes")
                places[ending] = (start, length, checksum)
            names = tuple(_text(exemplar) for exemplar in exemplars)
            samples.append(ShardSample(_text(key), shard, places, _text(name), names))
        if not samples:
            raise ValueError("it lists no sample")
        classes = found["classes"]
        return cls(shards, tuple(samples), classes and tuple(map(_text, classes)))


def index_shards(paths: Iterable[Path], classes: tuple[str, ...] | None = None) -> ShardIndex:
    """The index of local shards, which are read once.

    A sample's `json` field may give its `name` and the names of its `exemplars`.

    Raises:
        DataError: a shard is broken, or a sample is in two pieces.
    """
    shards: list[tuple[str, int]] = []
    samples: list[ShardSample] = []
    owner: dict[str, str] = {}
    for number, path in enumerate(paths):
        members: dict[str, dict[str, Place]] = {}
        about: dict[str, dict[str, Any]] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for entry in tar:
                    if not entry.isfile():
                        continue
                    folder, _, base = entry.name.rpartition("/")
                    first, _, ending = base.partition(".")
                    key = f"{folder}/{first}" if folder else first
                    content = tar.extractfile(entry).read()  # type: ignore[union-attr]
                    if len(content) != entry.size:
                        raise EOFError(f"{entry.name} is cut off")
                    place = (entry.offset_data, entry.size, zlib.crc32(content))
                    members.setdefault(key, {})[ending] = place
                    if ending == "json":
                        about[key] = json.loads(content)
            size = path.stat().st_size
        except Exception as error:  # tarfile and json raise many kinds
            raise DataError(
                f"shard {path} cannot be read: {described(error)}; copy or make it again"
            ) from error
        shards.append((path.name, size))
        for key, fields in members.items():
            if key in owner:
                raise DataError(
                    f"shard {path}: sample {key!r} is in shard {owner[key]} already; allowed is "
                    f"one place for each: make the shards again"
                )
            owner[key] = path.name
            told = about.get(key) or {}
            name, exemplars = told.get("name", key), told.get("exemplars", ())
            samples.append(ShardSample(key, number, fields, str(name), tuple(map(str, exemplars))))
    if not samples:
        raise DataError(f"no sample found in {len(shards)} shards; give the folder of .tar files")
    return ShardIndex(tuple(shards), tuple(samples), classes)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} found where text is needed")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} found where a whole number is needed")
    return value
