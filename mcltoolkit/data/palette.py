"""Display colours for any number of classes."""

from __future__ import annotations

import colorsys

import numpy as np

_HUES = 36
_SATURATIONS = (0.25, 0.45, 0.65)
_VALUES = (0.45, 0.65, 0.82, 0.95)


def class_palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Well distinct colours, always the same for the same K.

    Each next colour is the one of a fixed set of calm candidates that lies farthest from all
    chosen before (farthest-point sampling), so the first few differ most.

    Args:
        num_classes: K, 1..432.

    Raises:
        ValueError: there are not so many candidates.
    """
    candidates = np.array(
        [
            colorsys.hsv_to_rgb(hue / _HUES, saturation, value)
            for hue in range(_HUES)
            for saturation in _SATURATIONS
            for value in _VALUES
        ]
    )
    colours = (255 * candidates).round().astype(int)
    if not 1 <= num_classes <= len(colours):
        raise ValueError(f"{num_classes} classes; a palette has 1..{len(colours)} colours")
    # The eye tells colours apart by brightness too: a fourth, weighted coordinate.
    grey = candidates @ np.array([0.299, 0.587, 0.114])
    points = np.concatenate([candidates, 1.5 * grey[:, None]], axis=1)
    chosen = [int(np.abs(colours - np.array([95, 140, 205])).sum(1).argmin())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < num_classes:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return [(int(r), int(g), int(b)) for r, g, b in colours[chosen]]


def colour_labels(labels: np.ndarray, palette: list[tuple[int, int, int]]) -> np.ndarray:
    """(H, W) labels -> (H, W, 3) uint8 picture."""
    return np.asarray(palette, dtype=np.uint8)[labels]
