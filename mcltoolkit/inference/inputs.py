"""Conditions and exemplars for one translation: from files or arrays to tensors of one size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from mcltoolkit.data import PILResize, image_to_tensor, labels_to_tensor, read_image, read_labels
from mcltoolkit.errors import ConfigError, DataError

Source: TypeAlias = "str | Path | np.ndarray"
Size = tuple[int, int]


def read_condition(
    source: Source, channels: int, settings: Mapping[str, Any], what: str = "condition"
) -> np.ndarray:
    """A condition as labels (H, W), or as maps (C, H, W) float32, which are used as they are.

    Args:
        source: a label file, a `.npy` file of C x H x W numbers, or an array of either kind.
        channels: C of the model.
        settings: see `inference_settings`.
        what: its name in messages.

    Raises:
        DataError: the file is missing or broken, or its channels or values do not fit.
    """
    if isinstance(source, str | Path) and Path(source).suffix.lower() != ".npy":
        if settings["condition"] != "labels":
            raise DataError(
                f"{what} {source} is a picture, but this model's conditions are no label maps: it "
                f"takes {channels} channels of numbers (edges, distances, poses); give a .npy file "
                f"of {channels} x height x width"
            )
        return read_labels(source, channels, settings.get("label_map"))
    name = f"{what} {source}" if isinstance(source, str | Path) else what
    array = source if isinstance(source, np.ndarray) else _read_array(source, what)
    if array.ndim == 2 and not isinstance(source, str | Path) and settings["condition"] == "labels":
        return array
    if array.ndim != 3 or array.shape[0] != channels or array.dtype.kind not in "fiub":
        raise DataError(
            f"{name}: an array of {array.dtype} {array.shape} found, allowed are numbers of shape "
            f"{channels} x height x width"
        )
    maps = array.astype(np.float32)
    if not np.isfinite(maps).all():
        raise DataError(f"{name} holds values that are not finite; correct the file")
    return maps


def read_exemplar(source: Source) -> np.ndarray:
    """An exemplar picture as (H, W, 3) uint8, from a file or such an array.

    Raises:
        DataError: the file cannot be read, or the array has another form.
    """
    if not isinstance(source, np.ndarray):
        return read_image(source)
    if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8:
        raise DataError(
            f"the exemplar is an array of {source.dtype} {source.shape}; allowed is uint8 of "
            f"height x width x 3"
        )
    return source


def choose_size(
    wanted: Size | None,
    condition: np.ndarray,
    exemplar: np.ndarray,
    stride: int,
    test_size: Size | None,
) -> Size:
    """The (height, width) at which to translate.

    The wanted size; else that of maps, which are never resized; else that of condition and exemplar
    where they agree, the networks' stride divides it and it does not exceed the test size; else the
    test size.

    Raises:
        ConfigError: maps of another size than the wanted one, or nothing tells a size.
    """
    own = condition.shape[-2:]
    if condition.ndim == 3:
        if wanted not in (None, own):
            raise ConfigError(
                f"--size {wanted[0]} {wanted[1]} with a condition of {own[0]} x {own[1]} numbers: "
                f"such maps are not resized; leave --size out, or make the maps in that size"
            )
        return own[0], own[1]
    if wanted is not None:
        return wanted
    fits = own == exemplar.shape[:2] and own[0] % stride == own[1] % stride == 0
    if fits and (test_size is None or (own[0] <= test_size[0] and own[1] <= test_size[1])):
        return own[0], own[1]
    if test_size is None:
        raise ConfigError(
            f"the checkpoint's config fixes no test size, and the condition ({own[0]} x {own[1]}) "
            f"and the exemplar ({exemplar.shape[0]} x {exemplar.shape[1]}) have no common size "
            f"that {stride} divides; give --size HEIGHT WIDTH"
        )
    return int(test_size[0]), int(test_size[1])


def condition_fields(condition: np.ndarray, size: Size, prefix: str = "") -> dict[str, Tensor]:
    """The field of a `Batch` for one condition: labels resized with nearest, or maps.

    Raises:
        DataError: maps of another size.
    """
    if condition.ndim == 2:
        resized = PILResize(*size).apply_to_mask(condition)
        return {f"{prefix}labels": labels_to_tensor(resized)[None]}
    if condition.shape[1:] != size:
        raise DataError(
            f"the {prefix.replace('_', ' ')}condition has {condition.shape[1]} x "
            f"{condition.shape[2]} numbers, the translation {size[0]} x {size[1]}; such maps are "
            f"not resized: make them in that size"
        )
    return {f"{prefix}condition": torch.from_numpy(condition)[None]}


def exemplar_tensor(exemplar: np.ndarray, size: Size) -> Tensor:
    """(1, 3, H, W) in [-1, 1], resized as at test: bicubic with antialiasing."""
    if exemplar.shape[:2] != size:
        exemplar = PILResize(*size).apply(exemplar)
    return image_to_tensor(exemplar)[None]


def _read_array(path: str | Path, what: str) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{what} {path} cannot be read as an array of numbers: {error}; give a .npy file that "
            f"numpy.save wrote"
        ) from error
