"""Conditions and exemplars for one translation: from files or arrays to tensors of one size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcltoolkit.data import PILResize, image_to_tensor, labels_to_tensor
from mcltoolkit.data.images import (
    LABEL_MODES,
    image_array,
    load_picture,
    replace_labels,
)
from mcltoolkit.errors import DataError
from mcltoolkit.inference.hints import about_colours, class_list
from mcltoolkit.inference.settings import ConditionForm
from mcltoolkit.inference.sizes import Size, pad_edge

ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
Source: TypeAlias = str | Path | np.ndarray | Image.Image


def read_condition(source: Source, form: ConditionForm, what: str = "condition") -> np.ndarray:
    """A condition as labels (H, W), or as maps (C, H, W) float32, which are used as they are.

    Args:
        source: a label file, a PIL image of labels, or an array or `.npy` file of either kind,
            labels (H, W) or maps (C, H, W): labels are integers or bools, maps hold the values that
            the model was trained on, which the toolkit's data sets give in [0, 1].
        form: what the model takes, `TranslationModel.form`.
        what: its name in messages.

    Raises:
        DataError: the file is missing or broken, or its channels, type or values do not fit. Whole
            numbers beyond 0 and 1 in maps are refused, since their scale is unknown.
    """
    name, channels = name_of(source, what), form.channels
    if _is_picture(source, what):
        if form.kind != "labels":
            raise DataError(
                f"{name} is a picture, but this model's conditions are no label maps: it takes "
                f"{channels} channels of numbers (edges, distances, poses); give a .npy file of "
                f"{channels} x height x width"
            )
        image = _loaded(source, name)
        if image.mode not in LABEL_MODES:
            hint = about_colours(np.array(image.convert("RGB")), form.palette, form.classes)
            raise DataError(
                f"{name}: wrong number of channels: mode {image.mode!r} with "
                f"{len(image.getbands())} channels found, allowed is 1 channel with the class "
                f"number of each pixel; {hint}"
            )
        return _classes_of(np.array(image), form, name)
    array = source if isinstance(source, np.ndarray) else _read_array(str(source), name)
    if array.ndim == 2 and form.kind == "labels":
        if array.dtype.kind not in "iub":
            raise DataError(
                f"{name}: a label map of {array.dtype} found, allowed are whole numbers (such as "
                f"uint8), one class a pixel; for numbers between classes give {channels} x height "
                f"x width"
            )
        return _classes_of(array, form, name)
    if array.ndim != 3 or array.shape[0] != channels or array.dtype.kind not in "fiub":
        swapped = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
        hint = f"; {about_colours(array[..., :3], form.palette, form.classes)}" if swapped else ""
        raise DataError(
            f"{name}: an array of {array.dtype} {array.shape} found, allowed are numbers of shape "
            f"{channels} x height x width"
            f"{', or labels of height x width' if form.kind == 'labels' else ''}{hint}"
        )
    if array.dtype.kind in "iu" and array.size and (array.min() < 0 or array.max() > 1):
        raise DataError(
            f"{name}: maps of {array.dtype} hold {array.min()}..{array.max()}, allowed in whole "
            f"numbers are 0 and 1; maps are used as they are: give floats as in training, where "
            f"the toolkit's data sets give 0..1 (8-bit maps divided by 255)"
        )
    _check_area(array.shape[1:], name)
    maps = array.astype(np.float32)
    if not np.isfinite(maps).all():
        raise DataError(f"{name} holds values that are not finite; correct the file")
    return maps


def read_exemplar(source: Source) -> np.ndarray:
    """An exemplar picture as (H, W, 3) uint8, from a file, a PIL image or such an array.

    Grey and palette pictures become RGB, as in training; transparency is refused, since what lies
    behind it is unknown.

    Raises:
        DataError: the file cannot be read, or picture or array have another form.
    """
    name = name_of(source, "exemplar")
    if not isinstance(source, np.ndarray):
        if not _is_picture(source, "exemplar"):
            raise DataError(f"{name} is an array file; the exemplar is a photo: give a picture")
        image = _loaded(source, name)
        if image.mode in ALPHA_MODES:
            raise DataError(
                f"{name} has transparency (mode {image.mode!r}), allowed are RGB, grey and palette "
                f"pictures with 8 bits; put it on a background, or drop the alpha channel with "
                f"PIL.Image.open(path).convert('RGB')"
            )
        return image_array(image, name)
    if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8:
        hint = "convert it"
        if source.ndim == 2:
            hint = "a label map is a condition; give a grey photo as numpy.stack([grey] * 3, -1)"
        elif source.ndim == 3 and source.shape[2] == 4:
            hint = "drop the alpha channel: array[..., :3]"
        elif source.dtype.kind == "f":
            hint = "give (255 * array).round().astype('uint8') for values in 0..1"
        elif source.ndim == 4:
            hint = "give several pictures as a list"
        raise DataError(
            f"{name} is an array of {source.dtype} {source.shape}; allowed is uint8 of "
            f"height x width x 3: {hint}"
        )
    _check_area(source.shape[:2], name)
    return source


def source_name(source: Source) -> str:
    """The file of an input; empty where it has none."""
    if isinstance(source, Image.Image):
        return str(getattr(source, "filename", "") or "")
    return str(source) if isinstance(source, str | Path) else ""


def name_of(source: Source, what: str) -> str:
    """How a message calls an input: with its file, where it has one."""
    return f"{what} {source_name(source)}".rstrip()


def _is_picture(source: Source, what: str) -> bool:
    if isinstance(source, Image.Image):
        return True
    if isinstance(source, str | Path):
        return Path(source).suffix.lower() != ".npy"
    if isinstance(source, np.ndarray):
        return False
    raise DataError(
        f"{what} is a {type(source).__name__}; allowed are a file's path, a PIL image and a numpy "
        f"array, or a list of these"
    )


def _loaded(source: Source, name: str) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    assert not isinstance(source, np.ndarray)
    return load_picture(source, name)


def _classes_of(stored: np.ndarray, form: ConditionForm, name: str) -> np.ndarray:
    _check_area(stored.shape, name)
    try:
        labels = replace_labels(stored, form.channels, form.label_map, name)
    except DataError as error:
        listed = class_list(form.classes)
        raise DataError(
            f"{str(error).split('; correct the file')[0]}"
            f"{f' ({listed})' if listed else ''}; store the class number of each pixel, see "
            f"docs/own-data.md; values that mean no class are replaced by label_map in the config "
            f"of the training"
        ) from error
    for value in form.refused_labels:
        if (labels == value).any():
            called = f" ({form.classes[value]})" if form.classes else ""
            raise DataError(
                f"{name}: value {value}{called} found, allowed are 0..{form.channels - 1} without "
                f"it: in training this class lies over others, which a label map cannot say; store "
                f"the class behind it, or give a .npy file of {form.channels} x height x width "
                f"with 1 in the channels of both"
            )
    return labels


def _check_area(size: Sequence[int], name: str) -> None:
    if min(size) < 1:
        raise DataError(f"{name} has {size[0]}x{size[1]} pixels; allowed are sizes >= 1")


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
        names = [source_name(s) or "(an array)" for s in sources]
        raise DataError(
            f"exemplar {names[0]} has {height}x{width} pixels (height x width), its condition "
            f"{names[1]} {h}x{w}; allowed is one size, or other sizes of the same shape: give the "
            f"label map that belongs to the exemplar"
        )


def condition_fields(
    condition: np.ndarray, size: Size, padded: Size, what: str = "condition"
) -> dict[str, Any]:
    """The field of a `Batch` for one condition: labels resized with nearest, or maps; then padded.

    Raises:
        DataError: maps of another size.
    """
    if condition.ndim == 2:
        resized = pad_edge(PILResize(*size).apply_to_mask(condition), padded)
        return {"labels": labels_to_tensor(resized)[None]}
    if condition.shape[1:] != size:
        raise DataError(
            f"the {what} has {condition.shape[1]} x "
            f"{condition.shape[2]} numbers, the translation {size[0]} x {size[1]}; such maps are "
            f"not resized: make them in that size"
        )
    planes = pad_edge(condition.transpose(1, 2, 0), padded).transpose(2, 0, 1)
    return {"condition": torch.from_numpy(np.ascontiguousarray(planes))[None]}


def exemplar_tensor(exemplar: np.ndarray, size: Size, padded: Size) -> Tensor:
    """(1, 3, H, W) in [-1, 1], resized as at test: bicubic with antialiasing; then padded."""
    if exemplar.shape[:2] != size:
        exemplar = PILResize(*size).apply(exemplar)
    return image_to_tensor(pad_edge(exemplar, padded))[None]


def _read_array(path: str, name: str) -> np.ndarray:
    if not Path(path).is_file():
        raise DataError(f"{name} does not exist; correct the path")
    try:
        array = np.load(path, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise DataError("it is an archive of several arrays (.npz)")
        return array
    except Exception as error:  # of the header, which numpy reads as Python
        raise DataError(
            f"{name} cannot be read as an array of numbers: {str(error).strip()}; give a "
            f".npy file that numpy.save wrote"
        ) from error
