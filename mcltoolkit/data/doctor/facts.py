"""One file at a time: what the doctor has to know of an image or a label map.

Pure functions of a path, so that several processes can share the work; a file that cannot be read
gives facts that say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mcltoolkit.data.images import IMAGE_MODES, LABEL_MODES
from mcltoolkit.data.label_colours import pack_colours
from mcltoolkit.data.near_duplicates import thumbnail_vector

LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000")
COLOURS_KEPT = 512  # of one label map; more are the work of a lossy format


@dataclass(frozen=True)
class ImageFacts:
    """What an image file is: size in pixels, PIL's mode, thumbnail vector; or its problem."""

    problem: str | None = None
    height: int = 0
    width: int = 0
    mode: str = ""
    vector: np.ndarray | None = None

    @property
    def readable_mode(self) -> bool:
        """Whether `read_image` takes the mode."""
        return self.mode in IMAGE_MODES


@dataclass(frozen=True)
class LabelFacts:
    """What a label file is, or its problem.

    Args:
        problem: why it cannot be read.
        height, width: pixels.
        mode, format: PIL's names.
        values, counts: the distinct class ids (V,) int64 and their pixels; empty for colours.
        colours, colour_counts: the distinct colours, packed (see `pack_colours`), most frequent
            first, and their pixels; for files with several channels, and for all if asked for.
        more_colours: there are more than COLOURS_KEPT.
        speckle: pixels that differ from all four neighbours, over pixels at a class border.
    """

    problem: str | None = None
    height: int = 0
    width: int = 0
    mode: str = ""
    format: str = ""
    values: np.ndarray | None = None
    counts: np.ndarray | None = None
    colours: np.ndarray | None = None
    colour_counts: np.ndarray | None = None
    more_colours: bool = False
    speckle: float = 0.0

    @property
    def one_channel(self) -> bool:
        """Whether `read_labels` takes the mode."""
        return self.mode in LABEL_MODES

    @property
    def lossy(self) -> bool:
        """Whether the file format changes values."""
        return self.format in LOSSY_FORMATS


def image_facts(path: Path) -> ImageFacts:
    """Facts of an image file."""
    image = _open(path)
    if isinstance(image, str):
        return ImageFacts(problem=image)
    usable = image.mode in (*IMAGE_MODES, "RGBA", "LA", "CMYK", "1", "YCbCr")
    vector = thumbnail_vector(image) if usable else None
    return ImageFacts(None, image.height, image.width, image.mode, vector)


def label_facts(path: Path, by_colour: bool = False) -> LabelFacts:
    """Facts of a label file; `by_colour` tells the colours of one-channel files too."""
    image = _open(path)
    if isinstance(image, str):
        return LabelFacts(problem=image)
    one_channel = image.mode in LABEL_MODES
    values = counts = colours = colour_counts = None
    more, stored = False, np.asarray(image)
    if one_channel:
        values, counts = _value_counts(stored)
    if by_colour or not one_channel:
        packed = pack_colours(np.asarray(image.convert("RGB")))
        colours, colour_counts = np.unique(packed, return_counts=True)
        order = np.argsort(-colour_counts, kind="stable")
        more = len(order) > COLOURS_KEPT
        colours, colour_counts = colours[order[:COLOURS_KEPT]], colour_counts[order[:COLOURS_KEPT]]
        stored = packed
    return LabelFacts(
        None,
        image.height,
        image.width,
        image.mode,
        image.format or "",
        values,
        counts,
        colours,
        colour_counts,
        more,
        speckle(stored),
    )


def speckle(labels: np.ndarray) -> float:
    """Isolated pixels over border pixels of a label map (H, W): near 0 in a clean one.

    A pixel is isolated where it differs from all four neighbours, and at a border where it differs
    from the one below or to the right. Lossy compression leaves ringing around borders: measured
    0.1 and more, against less than 0.1 in street scenes at 128 pixels and 0.05 in larger photos.
    Fewer than 16 isolated pixels count as none.
    """
    rows, columns = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    apart = np.ones(labels.shape, dtype=bool)
    apart[1:] &= rows
    apart[:-1] &= rows
    apart[:, 1:] &= columns
    apart[:, :-1] &= columns
    isolated = int(apart.sum())
    if isolated < 16:
        return 0.0
    return isolated / int((rows[:, :-1] | columns[:-1]).sum() or 1)


def _value_counts(stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if stored.dtype in (np.uint8, np.bool_):
        counts = np.bincount(stored.ravel().astype(np.uint8, copy=False), minlength=256)
        values = np.flatnonzero(counts)
        return values, counts[values]
    return np.unique(stored.astype(np.int64), return_counts=True)


def _open(path: Path) -> Image.Image | str:
    """The loaded picture, or why there is none."""
    try:
        if path.stat().st_size == 0:
            return "0 bytes"
        with Image.open(path) as image:
            image.load()
            return image
    # PIL reports a broken file with any of these, depending on the format.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        return str(error).replace(str(path), path.name) or type(error).__name__
