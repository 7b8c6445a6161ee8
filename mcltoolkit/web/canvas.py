"""A label map on its way between the page's canvas and the model: class numbers, not colours.

The canvas (assets/canvas.js) paints class numbers at the label map's own resolution, so that a
stroke has no soft border and what is sent is exactly what was drawn. Whatever comes from a browser
is checked here, since a browser can send anything.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from mcltoolkit.data import PILResize
from mcltoolkit.errors import DataError
from mcltoolkit.visualization.colours import Palette, as_palette

Size = tuple[int, int]
Value = dict[str, Any]


def label_type(classes: int) -> np.dtype[Any]:
    """How K classes are sent: one byte a pixel, or two in little-endian order."""
    return np.dtype(np.uint8) if classes <= 256 else np.dtype("<u2")


def canvas_value(
    labels: np.ndarray, classes: int, drawn: bool = True, photo: str | None = None
) -> Value:
    """What the canvas shows.

    Args:
        labels: (H, W), values 0..K-1.
        classes: K.
        drawn: False for a canvas on which nothing was drawn or loaded yet.
        photo: data URI of a picture that lies under the drawing, to be traced.
    """
    content = np.ascontiguousarray(labels.astype(label_type(classes)))
    return {
        "height": int(labels.shape[0]),
        "width": int(labels.shape[1]),
        "labels": base64.b64encode(content.tobytes()).decode(),
        "photo": photo,
        "drawn": bool(drawn),
    }


def canvas_labels(value: Any, classes: int, most: int, what: str = "label map") -> np.ndarray:
    """The label map (H, W) of a canvas, uint8, or uint16 for more than 256 classes.

    Args:
        value: what the page sent.
        classes: K.
        most: pixels allowed, see `fits`.
        what: its name in messages.

    Raises:
        DataError: nothing was drawn, or the value is none that the canvas makes.
    """
    if not isinstance(value, Mapping) or not value.get("drawn"):
        raise DataError(
            f"the {what} is still empty: draw it, choose an example, or upload one, then press "
            f"Translate again"
        )
    height, width = (_whole(value.get(side)) for side in ("height", "width"))
    if not fits((height, width), most):
        raise DataError(
            f"the {what} is {height} x {width} pixels; allowed are about {most} pixels: reload the "
            f"page"
        )
    kind = label_type(classes)
    expected = height * width * kind.itemsize
    text, wanted = value.get("labels"), _text_length(expected)
    # Before it is decoded, which takes memory.
    if not isinstance(text, str) or len(text) != wanted:
        found = f"{len(text)} characters" if isinstance(text, str) else type(text).__name__
        raise DataError(
            f"the {what} of {height} x {width} pixels came with {found}, allowed are {wanted} "
            f"characters; reload the page"
        )
    try:
        content = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        content = b""
    if len(content) != expected:
        raise DataError(
            f"the {what} of {height} x {width} pixels came with {len(content)} bytes, allowed are "
            f"{expected}; reload the page"
        )
    labels = np.frombuffer(content, dtype=kind).reshape(height, width)
    if labels.max() >= classes:
        raise DataError(
            f"the {what} holds class {labels.max()}, allowed are 0..{classes - 1}; reload the page"
        )
    return labels.astype(kind.newbyteorder("="))


def most_text(classes: int, most: int) -> int:
    """Characters of the longest label map that `canvas_labels` takes."""
    return _text_length(2 * most * label_type(classes).itemsize)


def fits(size: Size, most: int) -> bool:
    """Whether a model may be given (H, W): up to `most` pixels and their rounding, no long strip,
    which padding would make much larger."""
    return 0 < size[0] * size[1] <= 2 * most and max(size) <= _longest(most)


def shrunk_size(own: Size, most: int) -> Size:
    """A size of the same shape, up to the rounding of its sides, that fits; `own` if that does."""
    if own[0] * own[1] <= most and max(own) <= _longest(most):
        return own
    scale = min((most / (own[0] * own[1])) ** 0.5, _longest(most) / max(own))
    return max(1, round(own[0] * scale)), max(1, round(own[1] * scale))


def _text_length(count: int) -> int:
    """Characters of so many bytes in base64."""
    return 4 * -(-count // 3)


def _longest(most: int) -> int:
    return int(4 * most**0.5)


def resized_labels(labels: np.ndarray, size: Size) -> np.ndarray:
    """Labels (H, W) at another size, each pixel with the class of the nearest one."""
    if labels.shape == size:
        return labels
    resized: np.ndarray = PILResize(*size).apply_to_mask(labels)
    return resized


def label_image(labels: np.ndarray, palette: Palette) -> Image.Image:
    """A label map as a file's picture that keeps its class numbers and can be looked at.

    Up to 256 classes it is a palette image, whose indices are the class numbers; beyond that grey
    of 16 bits.
    """
    colours = as_palette(palette)
    if len(colours) > 256:
        return Image.fromarray(labels.astype(np.uint16))
    image = Image.fromarray(labels.astype(np.uint8)).convert("L")
    image.putpalette(colours.tobytes())
    return image


def _whole(value: Any) -> int:
    """A positive whole number, or 0 for anything else."""
    return value if type(value) is int and value > 0 else 0
