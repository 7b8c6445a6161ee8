"""Layouts of the synthetic scenes: overlapping shapes in which every class has its share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

UNIT = 64.0  # lengths are in 64ths of the shorter side, so a scene looks the same at every size
_SHARE = 0.3  # least area of a class, as a part of an equal share
_TRIES = 40
_CORNERS = 4  # polygons have 3 to 6
_CHANCES = 4 + _CORNERS + 2  # random numbers a shape takes


@lru_cache(maxsize=8)
def pixel_grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres x (1, W) and y (H, 1) in units of the scene, float32."""
    height, width = size
    scale = UNIT / min(size)
    x = ((np.arange(width) + 0.5) * scale).astype(np.float32)[None, :]
    y = ((np.arange(height) + 0.5) * scale).astype(np.float32)[:, None]
    return x, y


def minimum_area(size: tuple[int, int], num_classes: int) -> int:
    """Pixels that every class of a layout has at least."""
    return max(1, int(_SHARE * size[0] * size[1] / num_classes))


def draw_layout(rng: np.random.Generator, size: tuple[int, int], num_classes: int) -> np.ndarray:
    """A random label map (H, W) uint8 that holds every class 0..K-1.

    A background class, mostly a half plane, then an ellipse, rectangle or polygon for each further
    class and some for good measure, painted over one another. Any class can be the background. A
    class that was covered too much gets a new shape on top.
    """
    order = rng.permutation(num_classes)
    extra = rng.integers(num_classes, size=1 + num_classes // 3)
    painted = np.concatenate([order[1:], extra])
    half_plane = num_classes > 2 and rng.random() < 0.7
    labels = np.full(size, order[0], dtype=np.uint8)
    x, y = pixel_grid(size)
    width, height = float(x[0, -1]), float(y[-1, 0])
    # One block of random numbers and plain floats: small numpy calls would cost more than pixels.
    chances = rng.random((len(painted), 3 + _CHANCES)).tolist()
    for i, (label, (across, down, share, *chance)) in enumerate(zip(painted, chances, strict=True)):
        if half_plane and i == 0:
            mask = _half_plane(x, y, chance)
        else:
            centre = ((0.05 + 0.9 * across) * width, (0.05 + 0.9 * down) * height)
            mask = _shape(x, y, centre, (0.6 + 0.9 * share) / num_classes, chance)
        labels[mask] = label
    return _repair(rng, labels, num_classes)


def _repair(rng: np.random.Generator, labels: np.ndarray, num_classes: int) -> np.ndarray:
    size = (labels.shape[0], labels.shape[1])
    least = minimum_area(size, num_classes)
    x, y = pixel_grid(size)
    counts = np.bincount(labels.ravel(), minlength=num_classes)
    for _ in range(_TRIES):
        poor = int(counts.argmin())
        if counts[poor] >= least:
            return labels
        # Take from the largest class: a spot of it is the likeliest to be open ground.
        spots = np.flatnonzero(labels.ravel() == counts.argmax())
        row, column = divmod(int(spots[rng.integers(len(spots))]), size[1])
        centre = (float(x[0, column]), float(y[row, 0]))
        changed = labels.copy()
        mask = _shape(x, y, centre, 0.6 / num_classes, rng.random(_CHANCES).tolist())
        changed[mask] = poor
        after = np.bincount(changed.ravel(), minlength=num_classes)
        if (after >= np.minimum(counts, least)).all() and after[poor] > counts[poor]:
            labels, counts = changed, after
    if counts.min() >= least:
        return labels
    bands = np.arange(labels.size).reshape(size[::-1]).T * num_classes // labels.size
    return rng.permutation(num_classes).astype(np.uint8)[bands]


def _half_plane(x: np.ndarray, y: np.ndarray, chance: Sequence[float]) -> np.ndarray:
    angle, shift = 2 * math.pi * chance[0], 0.3 * (chance[1] - 0.5) * UNIT
    cos, sin = math.cos(angle), math.sin(angle)
    middle = cos * float(x.mean()) + sin * float(y.mean()) + shift
    return cos * x + sin * y < middle


def _shape(
    x: np.ndarray,
    y: np.ndarray,
    centre: tuple[float, float],
    area: float,
    chance: Sequence[float],
) -> np.ndarray:
    """Mask of a shape that takes the share `area` of the picture where none of it is cut off.

    Args:
        chance: numbers in [0, 1) that choose kind, stretch, turn, corners and their unevenness.
    """
    kind, stretch, turn, count, *uneven = chance
    full = area * float(x[0, -1]) * float(y[-1, 0])
    corners = 3 + int(_CORNERS * count)
    ellipse, rectangle = kind < 0.4, 0.4 <= kind < 0.65
    factor = math.pi if ellipse else 4.0 if rectangle else corners * math.tan(math.pi / corners)
    radius, longer = math.sqrt(full / factor), math.exp(0.9 * stretch - 0.45)
    across, along = radius * longer, radius / longer
    cos, sin = math.cos(math.pi * turn), math.sin(math.pi * turn)
    right, down = x - centre[0], y - centre[1]
    u = cos / across * right + sin / across * down
    v = cos / along * down - sin / along * right
    if ellipse:
        return u * u + v * v < 1
    if rectangle:
        return np.maximum(np.abs(u), np.abs(v)) < 1
    inside = np.ones(u.shape, dtype=bool)
    for corner in range(corners):
        angle = 2 * math.pi * (corner + 0.3 * (uneven[corner] - 0.5)) / corners
        inside &= math.cos(angle) * u + math.sin(angle) * v < 1
    return inside
