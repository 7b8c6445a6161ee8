"""Files of tensors and plain values: read without running anything, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.files import whole_file


def load_plain(path: str | Path) -> Any:
    """A file of tensors and plain values; nothing in it is run.

    Raises:
        WeightsError: it is missing, broken, or holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"checkpoint {path} does not exist; correct the path")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes torch's unpickler stumble in many ways
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"checkpoint {path} cannot be read as tensors and plain values: {reason}\n"
            f"Use a whole file; one that holds pickled objects must be saved anew as a plain "
            f"state dict"
        ) from error


def save_whole(value: Any, path: str | Path) -> Path:
    """Save under a temporary name, then rename.

    Raises:
        ConfigError: the place cannot be written.
    """
    try:
        with whole_file(path) as part:
            torch.save(value, part)
    except RuntimeError as error:  # torch's writer, where the disk is full
        raise ConfigError(f"cannot write {path}: {error}; choose another place") from error
    return Path(path)
