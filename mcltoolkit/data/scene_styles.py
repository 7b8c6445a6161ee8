"""Styles of the synthetic scenes: each class has a pattern of its own, the style its colours.

A pattern maps texture coordinates to the share of the foreground colour in [0, 1]. The class
decides the pattern, the style its two colours, scale, phase and orientation; so the pattern alone
tells the class, and colours must be brought over from the exemplar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcltoolkit.data.scene_layouts import UNIT, pixel_grid

_COVER = 0.4  # share of the foreground in a pattern, on average

Pattern = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Style:
    """How each of K classes looks.

    Attributes:
        background, foreground: (K, 3) RGB in [0, 1].
        period: (K,) length of one period of the pattern, in units of the scene.
        angle: (K,) orientation in radians.
        phase: (K, 2) shift of the pattern in periods.
    """

    background: np.ndarray
    foreground: np.ndarray
    period: np.ndarray
    angle: np.ndarray
    phase: np.ndarray


def draw_style(
    rng: np.random.Generator, num_classes: int, jitter: float = 1.0, contrast: float = 1.0
) -> Style:
    """A random style.

    Hues lie evenly around the circle and lightness alternates, so the classes of one style differ
    well; which class gets which colour is drawn anew each time, so a colour tells no class.

    Args:
        rng: decides everything.
        num_classes: K.
        jitter: how far scale, phase and orientation of a pattern vary between styles; 0 fixes them.
        contrast: distance of the two colours of a class; 1 is clearly visible, 0 leaves flat areas.
    """
    k = num_classes
    place = rng.permutation(k)
    hue = rng.random() + (place + rng.uniform(-0.15, 0.15, k)) / k
    step = rng.uniform(0.16, 0.26)
    light = rng.uniform(0.45, 0.6) + step * (place % 2 - 0.5) + rng.uniform(-0.03, 0.03, k)
    chroma = rng.uniform(0.2, 0.32) * rng.uniform(0.85, 1.0, k)
    # Darker marks on light ground and lighter ones on dark keep the pattern within the gamut; the
    # mean colour stays about the same, so that classes do not come close to one another.
    sign = np.where(rng.random(k) < 0.75, np.where(light > 0.5, -1.0, 1.0), 1.0)
    shift = sign * rng.uniform(0.16, 0.24, k) * contrast
    turn = rng.uniform(-0.06, 0.06, k) * contrast
    periods = np.array([PATTERNS[name][1] for name in list(PATTERNS)[:k]])
    return Style(
        background=_rgb(hue, light - _COVER * shift, chroma),
        foreground=_rgb(hue + turn, light + (1 - _COVER) * shift, chroma),
        period=periods * np.exp(jitter * rng.uniform(-0.22, 0.22, k)),
        angle=jitter * rng.uniform(-0.5, 0.5, k) * np.pi,
        phase=jitter * rng.random((k, 2)),
    )


def render(labels: np.ndarray, style: Style) -> np.ndarray:
    """Paint label maps in one style.

    A texture is anchored to the picture, not to the shape: two layouts in one style show the same
    colour wherever they have the same class at the same place.

    Args:
        labels: (..., H, W) uint8 with values 0..K-1.
        style: of at least K classes.

    Returns:
        (..., 3, H, W) float32 in [-1, 1].
    """
    height, width = labels.shape[-2:]
    x, y = (np.broadcast_to(c, (height, width)).ravel() for c in pixel_grid((height, width)))
    flat = labels.reshape(-1)
    pixel = UNIT / min(height, width)
    # Sorting by class lets each pattern be computed for its own pixels only.
    order = np.argsort(flat, kind="stable")
    counts = np.bincount(flat, minlength=len(style.period))
    place = order % (height * width)
    x, y = x[place], y[place]
    painted = np.empty((3, flat.size), dtype=np.float32)
    ends = np.cumsum(counts)
    background = (2 * style.background - 1).astype(np.float32)
    change = (2 * (style.foreground - style.background)).astype(np.float32)
    for label, (pattern, _) in enumerate(list(PATTERNS.values())[: len(counts)]):
        own = slice(ends[label] - counts[label], ends[label])
        period = float(style.period[label])
        cos = np.float32(np.cos(style.angle[label]) / period)
        sin = np.float32(np.sin(style.angle[label]) / period)
        du, dv = style.phase[label].astype(np.float32)
        u = cos * x[own] + (sin * y[own] + du)
        v = cos * y[own] - (sin * x[own] - dv)
        amount = pattern(u, v, period / pixel)
        painted[:, own] = background[label][:, None] + change[label][:, None] * amount
    image = np.empty_like(painted)
    image[:, order] = painted
    image = image.reshape(3, *labels.shape[:-2], height, width)
    return np.ascontiguousarray(np.moveaxis(image, 0, -3))


def _rgb(hue: np.ndarray, light: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    wheel = np.cos(2 * np.pi * (hue[:, None] - np.arange(3) / 3))
    return np.clip(light[:, None] + chroma[:, None] * wheel, 0.02, 0.98)


def _centred(t: np.ndarray) -> np.ndarray:
    """Distance to the middle of the period, signed, in [-0.5, 0.5)."""
    return t - np.floor(t) - np.float32(0.5)


def _soft(distance: np.ndarray, sharpness: float) -> np.ndarray:
    """1 inside (distance > 0, in periods), 0 outside, with a ramp one pixel wide."""
    return np.clip(distance * np.float32(sharpness) + np.float32(0.5), 0, 1)


def _gradient(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(np.float32(2 * np.pi / 5) * u)


def _stripes(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    return _soft(0.25 - np.abs(_centred(u)), sharpness)


def _checks(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    along, across = 0.25 - np.abs(_centred(u)), 0.25 - np.abs(_centred(v))
    inside = np.minimum(np.abs(along), np.abs(across))
    return _soft(np.copysign(inside, along * across), sharpness)


def _dots(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    du, dv = _centred(u), _centred(v)
    return _soft(0.32 - np.sqrt(du * du + dv * dv), sharpness)


def _waves(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    zigzag = np.abs(_centred(v * np.float32(0.5)))
    return _soft(0.25 - np.abs(_centred(u + 2 * zigzag)), 0.7 * sharpness)


def _net(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    return _soft(0.12 - np.minimum(np.abs(_centred(u)), np.abs(_centred(v))), sharpness)


def _bricks(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    row = np.floor(v * 2)
    joint = np.minimum(np.abs(_centred(u + 0.5 * row)), 0.5 * np.abs(_centred(v * 2)))
    return _soft(0.07 - joint, sharpness)


def _rings(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    du, dv = _centred(u), _centred(v)
    return _soft(0.1 - np.abs(np.sqrt(du * du + dv * dv) - np.float32(0.36)), sharpness)


def _triangles(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    a = u - v * np.float32(0.577)
    b = v * np.float32(1.155)
    return _soft(a - np.floor(a) + (b - np.floor(b)) - 1, 0.6 * sharpness)


def _dashes(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    column = np.floor(u * 2)
    long, short = np.abs(_centred(v + 0.5 * column)), 0.5 * np.abs(_centred(u * 2))
    return _soft(np.minimum(0.3 - long, 0.11 - short), sharpness)


def _crosses(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    du, dv = np.abs(_centred(u)), np.abs(_centred(v))
    return _soft(np.minimum(0.12 - np.minimum(du, dv), 0.36 - np.maximum(du, dv)), sharpness)


def _speckle(u: np.ndarray, v: np.ndarray, sharpness: float) -> np.ndarray:
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    mixed = (column * 73856093) ^ (row * 19349663)
    mixed ^= mixed >> 7
    return ((mixed * 2654435761 >> 16) & 1).astype(np.float32)


# Pattern and mean period, in units of the scene. Class k has the k-th.
PATTERNS: dict[str, tuple[Pattern, float]] = {
    "gradient": (_gradient, 8.0),
    "stripes": (_stripes, 5.5),
    "checks": (_checks, 9.0),
    "dots": (_dots, 6.5),
    "waves": (_waves, 7.0),
    "net": (_net, 7.0),
    "speckle": (_speckle, 2.5),
    "bricks": (_bricks, 10.0),
    "rings": (_rings, 8.5),
    "triangles": (_triangles, 8.5),
    "dashes": (_dashes, 8.0),
    "crosses": (_crosses, 8.0),
}
