"""Files of tensors and plain values: read without running anything, written whole or not at all."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from mcltoolkit.errors import WeightsError


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
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, OSError) as error:
        raise WeightsError(
            f"checkpoint {path} cannot be read as tensors and plain values: "
            f"{str(error).strip().splitlines()[0]}\nUse a whole file; one that holds pickled "
            f"objects must be saved anew as a plain state dict"
        ) from error


def save_whole(value: Any, path: str | Path) -> Path:
    """Save under a temporary name, then rename.

    Raises:
        WeightsError: the place cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.save(value, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError
        raise WeightsError(f"cannot write {path}: {error}; choose another place") from error
    return path
