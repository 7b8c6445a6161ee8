"""Shards that were fetched from afar, kept on the local disk up to a bound."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from mcltoolkit.errors import ConfigError, DataError

GIGABYTE = 10**9
SUFFIX = ".shard"


class ShardCache:
    """A folder of whole shards; those unused for longest make room for new ones.

    Safe for any number of processes of one machine: a shard is fetched by one of them and appears
    whole. Not for a network disk, whose locks may not hold.

    Args:
        folder: None takes one of the user's in the system's temporary folder.
        size: bound in GB (10^9 bytes).

    Raises:
        ConfigError: the size is not above 0, or the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, size: float = 20.0) -> None:
        if not isinstance(size, int | float) or not size > 0:
            raise ConfigError(f"cache_size is {size!r}; allowed are GB above 0")
        if folder is None:
            folder = Path(tempfile.gettempdir(), f"mcltoolkit-shards-{os.getuid()}")
        self.folder, self.bound = Path(folder), int(min(size, 10**9) * GIGABYTE)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cache_dir {self.folder} cannot be made ({error.strerror}); set another"
            ) from error

    def get(self, url: str, size: int, fetch: Callable[[], bytes]) -> Path:
        """The shard's local copy, fetched if it is not there.

        Args:
            url: what tells it from others.
            size: bytes that it must have.
            fetch: gives its bytes.

        Raises:
            DataError: what was fetched has another size, or the disk is full.
        """
        name = hashlib.sha256(url.encode()).hexdigest()[:32]
        path = self.folder / f"{name}{SUFFIX}"
        if self._use(path, size):
            return path
        with FileLock(self.folder / f"{name}.lock"):
            if self._use(path, size):
                return path
            content = fetch()
            if len(content) != size:
                raise DataError(
                    f"shard {url} has {len(content)} bytes, its index says {size}; upload the "
                    f"shard again, or make the index anew with tools/make_shards.py --index"
                )
            part = path.with_suffix(f".{os.getpid()}.part")
            try:
                with FileLock(self.folder / "room.lock"):
                    self._make_room(size)
                    part.write_bytes(content)
                    part.replace(path)
            except OSError as error:
                raise DataError(
                    f"shard {url} cannot be kept in cache_dir {self.folder} "
                    f"({error.strerror or error}); free the disk, lower cache_size, or set another "
                    f"cache_dir"
                ) from error
            finally:
                part.unlink(missing_ok=True)
        return path

    def _use(self, path: Path, size: int) -> bool:
        """Whether it is there; if so, it counts as used now."""
        try:
            if path.stat().st_size != size:
                return False
            os.utime(path)
        except OSError:
            return False
        return True

    def _make_room(self, size: int) -> None:
        kept = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            kept.append((found.st_mtime_ns, found.st_size, path))
        total = sum(length for _, length, _ in kept)
        for _, length, path in sorted(kept):
            if total + size <= self.bound:
                break
            path.unlink(missing_ok=True)  # a process that reads it keeps what it has opened
            total -= length
