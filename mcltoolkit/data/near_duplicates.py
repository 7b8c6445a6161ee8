"""Near-duplicates: pictures that differ by re-encoding, size or a little brightness.

Each picture becomes one unit vector: a grey thumbnail without its coarse part (light above, dark
below is what most photos of one kind share). Two pictures are near-duplicates where the cosine of
their vectors reaches a threshold. The vectors stand for themselves: anything else that is unit
length, such as features of a network, goes through `near_duplicate_pairs` as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mcltoolkit.data.images import read_image
from mcltoolkit.errors import ConfigError

THUMBNAIL = 16
COARSE = 2.0  # standard deviation, in thumbnail pixels, of what counts as coarse
FLAT = 0.5  # grey levels: a thumbnail with less detail than this is one colour
THRESHOLD = 0.9
"""Cosine from which two pictures count as near-duplicates.

Chosen between copies (JPEG quality 30, a third of the size, brightness or contrast 20 % up or
down: 0.96 and more; 2 % cut off each border: 0.91) and different photos of one kind (street
scenes 0.65, interiors 0.27, aligned faces 0.73, clothes before a white wall 0.76 at most).
Neighbouring frames of a video count as near-duplicates where the camera stands still.
"""
ROUNDING = 1e-6
"""How far below a threshold a cosine still reaches it: rounding leaves a picture's cosine with
itself as near to 1 as this, not at 1."""


def thumbnail_vector(image: np.ndarray | Image.Image) -> np.ndarray:
    """The vector of one picture.

    Args:
        image: (H, W, 3) or (H, W) uint8, or a PIL image; the aspect is squeezed to a square.

    Returns:
        (256,) float32 of unit length; zeros for a picture of one colour, which resembles nothing.
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    side = (THUMBNAIL, THUMBNAIL)
    grey = np.asarray(picture.convert("L").resize(side, Image.Resampling.BOX), dtype=np.float64)
    smooth = _smoothing()
    detail = grey - smooth @ grey @ smooth.T
    if np.sqrt(np.mean(detail**2)) < FLAT:
        return np.zeros(THUMBNAIL**2, dtype=np.float32)
    return (detail / np.linalg.norm(detail)).ravel().astype(np.float32)


def image_vector(path: str | Path) -> np.ndarray:
    """`thumbnail_vector` of an image file.

    Raises:
        DataError: see `read_image`.
    """
    return thumbnail_vector(read_image(path))


@dataclass(frozen=True)
class Pairs:
    """Near-duplicates: rows `first` of a and `second` of b (P,) int64, cosine `score` (P,)."""

    first: np.ndarray
    second: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def near_duplicate_blocks(
    a: np.ndarray, b: np.ndarray | None = None, threshold: float = THRESHOLD, chunk: int = 1024
) -> Iterator[Pairs]:
    """Near-duplicate pairs in blocks, so that memory stays at O(chunk²) whatever is found.

    Args:
        a: (N, D) unit vectors, or zeros for pictures that resemble nothing.
        b: (M, D) likewise; None compares a with itself, each pair once (first < second).
        threshold: least cosine, in (0, 1].
        chunk: rows compared at a time, >= 1.

    Yields:
        The non-empty blocks; each sorted by first, then second.

    Raises:
        ConfigError: a threshold or chunk outside its range, or shapes that do not fit.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"near-duplicate threshold is {threshold}; allowed are 0 < values <= 1")
    if chunk < 1:
        raise ConfigError(f"chunk is {chunk}; allowed are values >= 1")
    other = a if b is None else b
    if a.ndim != 2 or other.ndim != 2 or a.shape[1] != other.shape[1]:
        raise ConfigError(
            f"vectors of shape {a.shape} and {other.shape} cannot be compared; allowed are (N, D) "
            f"and (M, D)"
        )
    for row in range(0, len(a), chunk):
        for column in range(row if b is None else 0, len(other), chunk):
            cosine = a[row : row + chunk] @ other[column : column + chunk].T
            found = cosine >= threshold - ROUNDING
            if b is None and column == row:
                found = np.triu(found, k=1)
            first, second = np.nonzero(found)
            if len(first):
                yield Pairs(first + row, second + column, cosine[first, second])


def near_duplicate_pairs(
    a: np.ndarray, b: np.ndarray | None = None, threshold: float = THRESHOLD, chunk: int = 1024
) -> Pairs:
    """All of `near_duplicate_blocks` at once, sorted by first, then second."""
    blocks = list(near_duplicate_blocks(a, b, threshold, chunk))
    if not blocks:
        none = np.zeros(0, dtype=np.int64)
        return Pairs(none, none, np.zeros(0, dtype=np.float32))
    first = np.concatenate([block.first for block in blocks])
    second = np.concatenate([block.second for block in blocks])
    score = np.concatenate([block.score for block in blocks])
    order = np.lexsort((second, first))
    return Pairs(first[order], second[order], score[order])


@cache
def _smoothing() -> np.ndarray:
    """(T, T): each row averages its neighbourhood with Gaussian weights that sum to 1."""
    place = np.arange(THUMBNAIL)
    weights = np.exp(-0.5 * ((place[:, None] - place[None]) / COARSE) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)
