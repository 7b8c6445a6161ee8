"""Where bytes come from: local files, members of tar shards, and mmengine's file backends.

A location is a path, a URL of any prefix that an mmengine file backend serves (`http://`,
`https://`, `s3://`, `petrel://`, those that a plugin registers), or a `Member` of a shard. All
readers of pictures and text take any of them.
"""

from __future__ import annotations

import io
import os
import socket
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

from mmengine.fileio import get_file_backend

from mcltoolkit.errors import DataError, described

PATIENCE = 60.0
FIRST_WAIT = 0.5
Location: TypeAlias = "str | os.PathLike[str]"


class ShardSource(Protocol):
    """What knows where a shard lies; see `shards.ShardFolder`."""

    def local(self, shard: int) -> Path:
        """The shard as a local file.

        Raises:
            DataError: it is missing or cannot be fetched.
        """
        ...


class Member(str):
    """A file inside a tar shard; as text `SHARD::NAME`, which is what messages show.

    Attributes:
        source, shard: where the shard is found.
        offset, size: of the file's bytes in the shard.
        checksum: their CRC-32, or None.
    """

    source: ShardSource
    shard: int
    offset: int
    size: int
    checksum: int | None

    @classmethod
    def at(
        cls, source: ShardSource, shard: int, shown: str, place: tuple[int, int, int | None]
    ) -> Member:
        """The member at `place`: offset, size and checksum."""
        member = cls(shown)
        member.source, member.shard = source, shard
        member.offset, member.size, member.checksum = place
        return member

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            DataError: the shard is missing, truncated or changed.
        """
        content = b""
        for _ in range(3):  # another process may put the shard out of the cache just now
            path = self.source.local(self.shard)
            try:
                with open(path, "rb") as file:
                    file.seek(self.offset)
                    content = file.read(self.size)
                break
            except FileNotFoundError:
                continue
            except OSError as error:
                raise DataError(f"{self}: shard {path} cannot be read ({error})") from error
        if len(content) != self.size:
            raise DataError(
                f"{self} is truncated: {len(content)} bytes found from {self.offset} on, the index "
                f"says {self.size}; copy the shard again, or make its index anew with "
                f"tools/make_shards.py --index"
            )
        if self.checksum is not None and zlib.crc32(content) != self.checksum:
            raise DataError(
                f"{self} is damaged: its checksum is {zlib.crc32(content)}, the index says "
                f"{self.checksum}; copy the shard again, or make its index anew with "
                f"tools/make_shards.py --index"
            )
        return content


def is_remote(location: Location) -> bool:
    """Whether it is a URL."""
    return "://" in str(location) and not isinstance(location, Member)


def fetch(url: Location, backend_args: Mapping[str, Any] | None = None, attempts: int = 3) -> bytes:
    """The bytes behind a URL.

    Args:
        url: of any prefix that a registered backend of mmengine serves.
        backend_args: of that backend; its key `backend` names one, whatever the prefix.
        attempts: how often to try, with waits of 0.5 s, 1 s, ... between.

    Raises:
        DataError: no backend serves it, or the last attempt failed.
    """
    text = str(url)
    try:
        backend = get_file_backend(text, backend_args=dict(backend_args or {}))
    except Exception as error:  # each backend has needs of its own
        raise DataError(
            f"no file backend for {text} with backend_args={dict(backend_args or {})}: "
            f"{described(error)}; use http(s)://, s3:// or another prefix that mmengine knows or a "
            f"plugin registered, and install what the backend needs"
        ) from error
    for attempt in range(max(attempts, 1)):
        before = socket.getdefaulttimeout()
        try:
            # mmengine's HTTP backend sets none, and a silent server would hang the worker
            socket.setdefaulttimeout(before or PATIENCE)
            content = backend.get(text)
            if content is None:
                raise FileNotFoundError(f"the backend has nothing under {text}")
            return bytes(content)
        except Exception as error:
            failure = error
        finally:
            socket.setdefaulttimeout(before)
        if attempt + 1 < attempts:
            time.sleep(FIRST_WAIT * 2**attempt)
    raise DataError(
        f"{text} cannot be read ({attempts} attempts, the last one: {described(failure)}); check "
        f"the network and the server, data_root, and backend_args={dict(backend_args or {})}"
    ) from failure


def read_bytes(location: Location) -> bytes:
    """All bytes of a location.

    Raises:
        OSError: a local path cannot be read.
        DataError: a member or URL cannot be read.
    """
    if isinstance(location, Member):
        return location.read()
    return fetch(location) if is_remote(location) else Path(location).read_bytes()


def read_text(location: Location) -> str:
    """UTF-8 text of a location; a byte-order mark is dropped.

    Raises:
        OSError, UnicodeDecodeError: a local path cannot be read, or is no such text.
        DataError: a member or URL cannot be read.
    """
    if isinstance(location, Member) or is_remote(location):
        text = read_bytes(location).decode("utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    return Path(location).read_text(encoding="utf-8-sig")


def openable(location: Location) -> Location | BinaryIO:
    """What a library that takes paths and files can open: a local path stays one."""
    if isinstance(location, Member) or is_remote(location):
        return io.BytesIO(read_bytes(location))
    return location
