"""Writing files whole or not at all, so that a killed process leaves no half a picture."""

from __future__ import annotations

import os
from pathlib import Path

from mcltoolkit.errors import ConfigError


def write_atomically(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write `content` to `path`, making its folder; the old file stays until the new one is whole.

    Raises:
        ConfigError: the place cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}; free the place or choose another "
            f"output folder"
        ) from error
    return path
