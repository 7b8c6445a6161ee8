"""Files of tensors and plain values: sealed with a checksum, written whole or not at all, read
without running anything."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch

from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.files import whole_file

# A sealed file is torch's zip archive with the archive comment `mcltoolkit sha256 HEX`; the digest
# is of all bytes before the comment and its two-byte length, so it travels with the file.
_SEAL = b"mcltoolkit sha256 "
_LENGTH = 2
_COMMENT = len(_SEAL) + hashlib.sha256().digest_size * 2
_BLOCK = 1 << 20
_ARCHIVE, _ARCHIVE_END, _END = b"PK\x03\x04", b"PK\x05\x06", 22
_UNREADABLE = re.compile(r"WeightsUnpickler error:\s*(.+)")
_FOREIGN_CLASS = re.compile(r"GLOBAL ([\w.]+)")


def load_plain(path: str | Path) -> Any:
    """A file of tensors and plain values; nothing in it is run. A sealed one is checked first.

    Raises:
        WeightsError: it is missing, broken, or holds anything else.
    """
    check_whole(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes torch's unpickler stumble in many ways
        foreign = _FOREIGN_CLASS.search(str(error))
        if foreign is None or not zipfile.is_zipfile(path):
            raise WeightsError(
                f"checkpoint {path} cannot be read as tensors and plain values: "
                f"{_reason(error)}; allowed are whole files that torch.save wrote: copy it again"
            ) from error
        raise WeightsError(
            f"checkpoint {path} holds pickled objects ({foreign[1]}), and loading these may run "
            f"code from the file; allowed are tensors and plain values. Take these out with "
            f"`python tools/strip_checkpoint.py {path} NEW.pth`, which runs nothing, and use NEW"
        ) from error


def check_whole(path: str | Path) -> bool:
    """Whether the file is sealed; one that is not is checked by its archive's own checksums.

    Raises:
        WeightsError: it is missing, empty, or its content is not what was written.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"checkpoint {path} does not exist; give the path of an `iter_N.pth` file that a "
            f"training wrote to its work directory"
        )
    try:
        if path.stat().st_size == 0:
            raise WeightsError(f"checkpoint {path} is empty (0 bytes); use a whole file")
        with open(path, "rb") as file:
            written = _seal_of(file)
            if written is not None and written != _digest(file):
                raise WeightsError(
                    f"checkpoint {path} is damaged: its content has another checksum than was "
                    f"written ({written[:12]}...); use another checkpoint, or copy it again"
                )
        if written is None:
            _check_archive(path)
    except OSError as error:
        raise WeightsError(
            f"checkpoint {path} cannot be read ({error.strerror or error}); check the file's "
            f"permissions and its disk"
        ) from error
    return written is not None


def save_whole(value: Any, path: str | Path) -> Path:
    """Save under a temporary name, seal, then rename; see `whole_file`.

    Raises:
        ConfigError: the place cannot be written, or is full.
    """
    with whole_file(path) as part:
        try:
            with open(part, "wb") as file:
                torch.save(value, file)
        except RuntimeError as error:  # torch's writer, where the disk is full
            raise _cause(error, part) from error
        with open(part, "r+b") as file:
            digest = _digest(file, sealed=False)
            file.seek(-_LENGTH, io.SEEK_END)
            file.write(_COMMENT.to_bytes(_LENGTH, "little") + _SEAL + digest.encode())
    return Path(path)


def _seal_of(file: BinaryIO) -> str | None:
    """The digest that the file says it has."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _COMMENT - _LENGTH))
    length, seal = file.read(_LENGTH), file.read()
    announced = int.from_bytes(length, "little") == _COMMENT
    if not (announced or seal.startswith(_SEAL)):
        return None
    digest = seal[len(_SEAL) :].decode("ascii", errors="replace")
    return digest if announced and seal.startswith(_SEAL) else "broken"


def _digest(file: BinaryIO, sealed: bool = True) -> str:
    size = file.seek(0, io.SEEK_END) - _LENGTH - (_COMMENT if sealed else 0)
    file.seek(0)
    digest = hashlib.sha256()
    for block in _blocks(file, size):
        digest.update(block)
    return digest.hexdigest()


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        block = file.read(min(size, _BLOCK))
        if not block:
            return
        size -= len(block)
        yield block


def _check_archive(path: Path) -> None:
    """The checksums of a zip archive's members; torch's older format has none."""
    with open(path, "rb") as file:
        archive_begins = file.read(len(_ARCHIVE)) == _ARCHIVE
        file.seek(max(0, file.seek(0, io.SEEK_END) - _END - _COMMENT))
        _, _, end = file.read().rpartition(_ARCHIVE_END)
    if not archive_begins:
        return
    comment = len(end) - (_END - len(_ARCHIVE_END))
    if comment < 0 or int.from_bytes(end[-comment - _LENGTH :][:_LENGTH], "little") != comment:
        raise WeightsError(
            f"checkpoint {path} is truncated: the end of its archive is missing; use a whole file"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(
            f"checkpoint {path} is damaged ({_first_line(error)}); use a whole file"
        ) from error
    if broken is not None:
        raise WeightsError(
            f"checkpoint {path} is damaged: its member {broken} has another checksum than was "
            f"written; use another checkpoint, or copy it again"
        )


def _cause(error: RuntimeError, part: Path) -> OSError | ConfigError:
    """What stopped torch's writer: it wraps the file's own error, if at all."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return ConfigError(f"cannot write {part}: {_first_line(error)}; choose another place")


def _reason(error: Exception) -> str:
    """torch's reason, without its advice to read the file in an unsafe way."""
    named = _UNREADABLE.search(str(error))
    return named[1].strip() if named else _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
