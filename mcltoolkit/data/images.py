"""Images and label maps between files, numpy arrays and tensors.

Pixels are taken as stored; an EXIF orientation is not applied, because label maps have none.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcltoolkit.data.storage import openable
from mcltoolkit.errors import DataError, ToolkitError

IMAGE_MODES = ("L", "P", "RGB")
LABEL_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
REGION_MODES = ("1", "L", "P", "RGB")
_SHOWN = 8


def read_image(path: str | Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8; grey and palette images become RGB.

    A PNG without an alpha channel that names one colour as transparent (tRNS) is taken as stored:
    its pixels keep that colour.

    Raises:
        DataError: the file is missing, unreadable or truncated, or has another mode
            (an alpha channel, 16 bits, CMYK).
    """
    return image_array(load_picture(path, f"image {path}"), f"image {path}")


def image_array(image: Image.Image, name: str) -> np.ndarray:
    """A PIL image as `read_image` gives it; `name` is what messages call it.

    Raises:
        DataError: it has another mode.
    """
    if image.mode not in IMAGE_MODES:
        raise DataError(
            f"{name}: mode {image.mode!r} ({len(image.getbands())} channels) found, allowed "
            f"are {', '.join(IMAGE_MODES)} with 8 bits; convert it, for example with "
            f"PIL.Image.open(path).convert('RGB')"
        )
    return np.array(image.convert("RGB"))


def read_labels(
    path: str | Path, num_classes: int, label_map: Mapping[int, int] | None = None
) -> np.ndarray:
    """A label file as (H, W), uint8, or uint16 for more than 256 classes.

    Args:
        path: a file with one channel of 8 or 16 bits, or a palette file, whose indices count.
        num_classes: K; values must lie in 0..K-1.
        label_map: values to replace first, such as {255: 0}.

    Raises:
        DataError: the file is missing, unreadable or truncated, has several channels, or holds a
            value outside 0..K-1.
    """
    name = f"label map {path}"
    image = load_picture(path, name)
    if image.mode not in LABEL_MODES:
        raise DataError(
            f"{name}: wrong number of channels: mode {image.mode!r} with "
            f"{len(image.getbands())} channels found, allowed is 1 channel (8 bit, 16 bit or "
            f"palette); store the class number of each pixel, not its colour"
        )
    return replace_labels(np.array(image), num_classes, label_map, name)


def replace_labels(
    stored: np.ndarray,
    num_classes: int,
    label_map: Mapping[int, int] | None = None,
    name: str = "label map",
) -> np.ndarray:
    """Stored label values (H, W), whole numbers, as classes: uint8, or uint16 for K > 256.

    Raises:
        DataError: a value outside 0..K-1, after `label_map` has replaced some.
    """
    # Counting bytes is several times faster than np.unique, and every label file passes here.
    if stored.dtype == np.uint8:
        values = np.flatnonzero(np.bincount(stored.ravel(), minlength=256))
    else:
        stored = stored.astype(np.int64)
        values = np.unique(stored)
    mapping = dict(label_map or {})
    result = np.array([mapping.get(int(v), int(v)) for v in values], dtype=np.int64)
    wrong = values[(result < 0) | (result >= num_classes)]
    if wrong.size:
        more = f" and {wrong.size - _SHOWN} more" if wrong.size > _SHOWN else ""
        raise DataError(
            f"{name}: value{'s' if wrong.size > 1 else ''} "
            f"{', '.join(str(v) for v in wrong[:_SHOWN])}{more} found, allowed are "
            f"0..{num_classes - 1}; correct the file, set num_classes, or replace the value with "
            f"label_map={{{int(wrong[0])}: ...}}"
        )
    dtype = np.uint8 if num_classes <= 256 else np.uint16
    if not mapping:
        return stored.astype(dtype, copy=False)
    return result[np.searchsorted(values, stored)].astype(dtype)


def read_region(path: str | Path) -> np.ndarray:
    """A mask file, black with one white region, as (H, W) bool.

    Raises:
        DataError: the file is missing, unreadable or truncated, has transparency or 16 bits, or
            holds other colours.
    """
    image = load_picture(path, f"mask {path}")
    if image.mode not in REGION_MODES:
        raise DataError(
            f"mask {path}: mode {image.mode!r} found, allowed are {', '.join(REGION_MODES)} with "
            f"8 bits, black and white; convert it"
        )
    grey = np.array(image.convert("L"))
    values = np.flatnonzero(np.bincount(grey.ravel(), minlength=256))
    wrong = values[(values > 0) & (values < 255)]
    if wrong.size:
        more = f" and {wrong.size - _SHOWN} more" if wrong.size > _SHOWN else ""
        raise DataError(
            f"mask {path}: grey value{'s' if wrong.size > 1 else ''} "
            f"{', '.join(str(v) for v in wrong[:_SHOWN])}{more} found, allowed are 0 (outside) and "
            f"255 (inside); save it without smoothing and without lossy compression"
        )
    region: np.ndarray = grey == 255
    return region


def image_to_tensor(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [-1, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return tensor.float().div_(127.5).sub_(1.0)


def labels_to_tensor(labels: np.ndarray) -> Tensor:
    """(H, W) of any integer type -> (H, W) int64."""
    return torch.from_numpy(labels.astype(np.int64))


def load_picture(path: str | Path, name: str) -> Image.Image:
    """The PIL image of a file, its pixels read; `name` is what messages call it.

    Raises:
        DataError: the file is missing, unreadable, truncated or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(openable(path)) as image:
                image.load()
                return image
    except ToolkitError:
        raise
    except FileNotFoundError:
        raise DataError(
            f"{name} does not exist; restore the file, or correct data_root (--data-root)"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{name} claims more than the {Image.MAX_IMAGE_PIXELS} pixels allowed "
            f"({error}); make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS in a plugin module"
        ) from error
    except Exception as error:  # PIL reports a broken file with whatever its decoder stumbled on
        raise DataError(
            f"{name} is unreadable or truncated ({str(error) or type(error).__name__}); "
            f"allowed are whole files of a format that PIL reads; copy or download the file again"
        ) from error
