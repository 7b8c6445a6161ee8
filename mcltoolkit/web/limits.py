"""What may be uploaded: kinds of files, bytes and pixels, checked on the file itself.

A file's name says nothing about its content: a picture counts as one when it can be decoded as one
of the allowed formats, after its size was checked and before anything else is done with it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from mcltoolkit.data.images import IMAGE_MODES, LABEL_MODES
from mcltoolkit.errors import DataError
from mcltoolkit.inference.inputs import read_condition
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.web.canvas import Size, shrunk_size
from mcltoolkit.web.colours import snap_colours

MOST_BYTES = 16 * 1024**2
MOST_PIXELS = 25_000_000
PAINTED = 4  # times the pixels of a translation that are looked at of a painted label map
DEFAULT_SIZE = (256, 256)
FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp"}
ENDINGS = (*FORMATS.values(), ".jpeg")
ARRAYS = (".npy",)
_MODES = sorted({*IMAGE_MODES, *LABEL_MODES, "RGBA", "LA"})


def megabytes(count: int) -> str:
    """Bytes in words."""
    return f"{round(count / 1024**2, 1):g} MB"


def check_bytes(path: str | Path, what: str) -> None:
    """Refuse a file that is too large.

    Raises:
        DataError: more than `MOST_BYTES`.
    """
    count = Path(path).stat().st_size
    if count > MOST_BYTES:
        raise DataError(
            f"{what} {Path(path).name} has {megabytes(count)}, allowed are "
            f"{megabytes(MOST_BYTES)}; make it smaller and upload it again"
        )


def open_picture(path: str | Path, what: str) -> Image.Image:
    """An uploaded picture, decoded.

    Args:
        path: the file.
        what: `photo` or `label map`, for messages.

    Raises:
        DataError: too many bytes or pixels, none of the allowed formats, or broken.
    """
    check_bytes(path, what)
    name = f"{what} {Path(path).name}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=list(FORMATS)) as image:
                _check_pixels(image, name)
                image.load()
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(_too_many_pixels(name, "far more")) from error
    except Exception as error:  # PIL reports a broken file with whatever its decoder stumbled on
        raise DataError(
            f"{name} cannot be read as a picture; allowed are whole files of the kinds "
            f"{', '.join(FORMATS)}: save it as PNG and upload it again"
        ) from error
    if image.mode not in _MODES:
        raise DataError(
            f"{name} has the mode {image.mode!r}; allowed are grey, palette and RGB pictures: save "
            f"it as PNG in RGB with 8 bits"
        )
    return image


def read_photo(path: str | Path) -> np.ndarray:
    """An uploaded photo as (H, W, 3) uint8, upright as its camera says.

    Raises:
        DataError: see `open_picture`; or it is transparent, or has 16 bits.
    """
    image = _opaque(open_picture(path, "photo"), f"photo {Path(path).name}")
    if image.mode not in IMAGE_MODES:
        raise DataError(
            f"photo {Path(path).name} has the mode {image.mode!r}; allowed are {IMAGE_MODES} with "
            f"8 bits: save it as PNG in RGB"
        )
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def read_label_map(path: str | Path, model: TranslationModel) -> np.ndarray:
    """An uploaded label map (H, W): class numbers in one channel, or the palette's colours.

    A palette image's indices are its class numbers, as everywhere in the toolkit, whatever colour
    or transparency they have. A painted map of more than `PAINTED` times the pixels of a
    translation is made smaller first, since each mixed colour is looked at with its neighbours.

    Raises:
        DataError: see `open_picture`; or it is painted and transparent; or values or colours that
            the model has no class for.
    """
    assert model.palette is not None
    assert model.classes is not None
    image = open_picture(path, "label map")
    name = f"label map {Path(path).name}"
    if image.mode == "LA":
        image = _opaque(image, name)
    if image.mode in LABEL_MODES:
        return read_condition(np.array(image), model.form, name)
    image = _opaque(image, name)
    height, width = translation_size(model)
    size = shrunk_size((image.height, image.width), PAINTED * height * width)
    picture = np.array(_nearest(image, size).convert("RGB"))
    scale = (image.height / size[0], image.width / size[1])
    return snap_colours(picture, model.palette, model.classes, name, scale)


def read_maps(path: str | Path, model: TranslationModel, what: str = "condition") -> np.ndarray:
    """Uploaded maps (C, H, W) float32 of a model whose conditions are no label maps.

    Raises:
        DataError: too many bytes or pixels, no `.npy` file, or channels or values that do not fit.
    """
    check_bytes(path, what)
    name = f"{what} {Path(path).name}"
    try:
        # Mapped, the header's claim is compared with the file's length before memory is taken.
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except Exception as error:  # of the header, which numpy reads as Python
        raise DataError(
            f"{name} cannot be read as an array of numbers; give a .npy file that numpy.save wrote"
        ) from error
    if len(shape) == 3 and shape[1] * shape[2] > MOST_PIXELS:
        raise DataError(_too_many_pixels(name, f"{shape[2]} x {shape[1]}"))
    array: Any = np.load(path, allow_pickle=False)
    return read_condition(array, model.form, name)


def _check_pixels(image: Image.Image, name: str) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise DataError(_too_many_pixels(name, f"{image.width} x {image.height}"))


def _too_many_pixels(name: str, found: str) -> str:
    return (
        f"{name} has {found} pixels, allowed are {MOST_PIXELS / 1e6:.0f} million; make it smaller "
        f"and upload it again"
    )


def translation_size(model: TranslationModel) -> Size:
    """(H, W) of a translation, unless a label map's own is smaller."""
    height, width = model.settings["size"] or DEFAULT_SIZE
    return int(height), int(width)


def _nearest(image: Image.Image, size: Size) -> Image.Image:
    if size == (image.height, image.width):
        return image
    return image.resize((size[1], size[0]), Image.Resampling.NEAREST)


def _transparent(image: Image.Image) -> bool:
    """Whether a pixel is; a PNG may also name a colour of palette, grey or RGB as transparent."""
    if image.mode in ("RGBA", "LA"):
        return bool(np.array(image.getchannel("A")).min() < 255)
    if "transparency" not in image.info or image.mode not in ("1", *IMAGE_MODES):
        return False
    return bool(np.array(image.convert("RGBA").getchannel("A")).min() < 255)


def _opaque(image: Image.Image, name: str) -> Image.Image:
    if _transparent(image):
        raise DataError(
            f"{name} has transparent pixels, which have no colour; allowed are opaque pictures: "
            f"put a background behind it"
        )
    image.info.pop("transparency", None)
    return image.convert({"RGBA": "RGB", "LA": "L"}.get(image.mode, image.mode))
