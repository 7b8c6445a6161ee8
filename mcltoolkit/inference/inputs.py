"""Conditions and exemplars for one translation: from files or arrays to tensors of one size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcltoolkit.data import PILResize, image_to_tensor, labels_to_tensor, read_image, read_labels
from mcltoolkit.data.images import image_array, label_array, replace_labels
from mcltoolkit.errors import ConfigError, DataError

Source: TypeAlias = "str | Path | np.ndarray | Image.Image"
Size = tuple[int, int]


def read_condition(
    source: Source, channels: int, settings: Mapping[str, Any], what: str = "condition"
) -> np.ndarray:
    """A condition as labels (H, W), or as maps (C, H, W) float32, which are used as they are.

    Args:
        source: a label file, a `.npy` file of C x H x W numbers, or an array of either kind:
            labels are integers or bools, maps hold the values that the model was trained on,
            which the toolkit's data sets give in [0, 1].
        channels: C of the model.
        settings: see `inference_settings`.
        what: its name in messages.

    Raises:
        DataError: the file is missing or broken, or its channels, type or values do not fit. Whole
            numbers beyond 0 and 1 in maps are refused, since their scale is unknown.
    """
    name = f"{what} {source}" if isinstance(source, str | Path) else what
    picture = isinstance(source, Image.Image) or (
        isinstance(source, str | Path) and Path(source).suffix.lower() != ".npy"
    )
    if picture and settings["condition"] != "labels":
        raise DataError(
            f"{name} is a picture, but this model's conditions are no label maps: it "
            f"takes {channels} channels of numbers (edges, distances, poses); give a .npy file "
            f"of {channels} x height x width"
        )
    if isinstance(source, Image.Image):
        return label_array(source, channels, settings.get("label_map"), what)
    if picture:
        return read_labels(source, channels, settings.get("label_map"))
    array = source if isinstance(source, np.ndarray) else _read_array(source, what)
    if array.ndim == 2 and not isinstance(source, str | Path) and settings["condition"] == "labels":
        if array.dtype.kind not in "iub":
            raise DataError(
                f"{name}: a label map of {array.dtype} found, allowed are whole numbers (such as "
                f"uint8), one class a pixel; for numbers between classes give {channels} x height "
                f"x width"
            )
        return replace_labels(array, channels, settings.get("label_map"), name)
    if array.ndim != 3 or array.shape[0] != channels or array.dtype.kind not in "fiub":
        raise DataError(
            f"{name}: an array of {array.dtype} {array.shape} found, allowed are numbers of shape "
            f"{channels} x height x width"
        )
    if array.dtype.kind in "iu" and array.size and (array.min() < 0 or array.max() > 1):
        raise DataError(
            f"{name}: maps of {array.dtype} hold {array.min()}..{array.max()}, allowed in whole "
            f"numbers are 0 and 1; maps are used as they are: give floats as in training, where "
            f"the toolkit's data sets give 0..1 (8-bit maps divided by 255)"
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
    if isinstance(source, Image.Image):
        return image_array(source, "exemplar")
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
) -> tuple[Size, str]:
    """The (height, width) at which to translate, and why, in words.

    The wanted size; else that of maps, which are never resized; else that of condition and exemplar
    where they agree, the networks' stride divides it and it does not exceed the test size; else the
    test size.

    Raises:
        ConfigError: maps of another size than the wanted one, or nothing tells a size.
    """
    own, theirs = condition.shape[-2:], exemplar.shape[:2]
    if condition.ndim == 3:
        if wanted not in (None, own):
            raise ConfigError(
                f"--size {wanted[0]} {wanted[1]} with a condition of {own[0]} x {own[1]} numbers: "
                f"such maps are not resized; leave --size out, or make the maps in that size"
            )
        return (own[0], own[1]), "size of the condition's maps, which are not resized"
    if wanted is not None:
        return wanted, "the size asked for"
    obstacle = _obstacle(own, theirs, stride, test_size)
    if obstacle is None:
        why = "own size of condition and exemplar"
        if test_size is not None and tuple(test_size) != own:
            tall, wide = test_size
            why += f"; the model's test size is {tall}x{wide}, give --size {tall} {wide} for that"
        return (own[0], own[1]), why
    if test_size is None:
        raise ConfigError(
            f"the checkpoint's config fixes no test size, and {obstacle}; give --size HEIGHT WIDTH"
        )
    return (int(test_size[0]), int(test_size[1])), f"the model's test size, since {obstacle}"


def _obstacle(own: Size, theirs: Size, stride: int, test_size: Size | None) -> str | None:
    """Why condition and exemplar are not translated at their own size; None where they are."""
    shown = f"{own[0]}x{own[1]}"
    if own != theirs:
        return f"the condition is {shown} and the exemplar {theirs[0]}x{theirs[1]}"
    if own[0] % stride or own[1] % stride:
        return f"the networks need multiples of {stride}, which the pictures' own {shown} is not"
    if test_size is not None and (own[0] > test_size[0] or own[1] > test_size[1]):
        return f"the pictures' own {shown} is larger"
    return None


def check_pair(exemplar: np.ndarray, condition: np.ndarray, sources: tuple[Source, Source]) -> None:
    """Refuse labels that cannot be those of the exemplar, by their size.

    Allowed are one size, or one aspect up to the rounding of a resize to whole pixels. Maps are
    made at the size of the translation, whatever the photo's, and are not compared.

    Args:
        exemplar: (H, W, 3).
        condition: the exemplar's, labels (h, w) or maps.
        sources: the two as they were given, for the message.

    Raises:
        DataError: another shape.
    """
    if condition.ndim == 3:
        return
    (height, width), (h, w) = exemplar.shape[:2], condition.shape
    # sides rounded by up to half a pixel put h W and w H up to (H + W) / 2 apart
    tall, wide = max((height, width), (h, w), key=lambda size: size[0] * size[1])
    if (h, w) != (height, width) and 2 * abs(h * width - w * height) >= tall + wide:
        names = [str(s) if isinstance(s, str | Path) else "(an array)" for s in sources]
        raise DataError(
            f"exemplar {names[0]} has {height}x{width} pixels (height x width), its condition "
            f"{names[1]} {h}x{w}; allowed is one size, or other sizes of the same shape: give the "
            f"label map that belongs to the exemplar"
        )


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
    except Exception as error:  # of the header, which numpy reads as Python
        raise DataError(
            f"{what} {path} cannot be read as an array of numbers: {str(error).strip()}; give a "
            f".npy file that numpy.save wrote"
        ) from error
