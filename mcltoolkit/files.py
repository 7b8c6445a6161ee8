"""Files written whole or not at all, so that a killed process leaves no half a file; their hash."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcltoolkit.errors import ConfigError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside `path` to write to, whose folder is made; flushed to the disk and
    renamed to `path` once all went well, removed otherwise.

    Raises:
        ConfigError: the place cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            _flush(part)
            os.replace(part, path)
            _flush(path.parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}; free the place or choose another "
            f"output folder"
        ) from error


def _flush(path: Path) -> None:
    """Until it is on the disk; a folder's entries where the system can say so."""
    if path.is_dir() and os.name == "nt":
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_atomically(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write `content` to `path`; the old file stays until the new one is whole.

    Raises:
        ConfigError: the place cannot be written.
    """
    with whole_file(path) as part:
        part.write_bytes(content)
    return Path(path)


def write_json(path: str | os.PathLike[str], values: Mapping[str, Any]) -> Path:
    """Write `values`, sorted by key, as `write_atomically` does."""
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    return write_atomically(path, text.encode())


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal; read in blocks, since weights are large."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def check_place(path: str | os.PathLike[str]) -> None:
    """Make sure, before long work, that its file can be written; makes its folder.

    Raises:
        ConfigError: it cannot be written, or is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"cannot write {path}: it is a folder; name a file, such as {path}/out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}; free the place or choose another "
            f"output folder"
        ) from error
