"""Colours: the check of a palette, and a smooth two-dimensional colour plane for positions.

The plane lies in Oklab (Ottosson 2020, https://bottosson.github.io/posts/oklab/), where equal
steps look about equally large, so that no direction and no region shouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcltoolkit.errors import ConfigError

Picture = npt.NDArray[np.uint8]
Palette = Sequence[Sequence[int]] | npt.NDArray[Any]

GOLDEN_TURN = 2 * np.pi * 0.381966
_TO_LMS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_LINEAR_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def oklab_to_rgb(lab: npt.ArrayLike) -> Picture:
    """Oklab colours (..., 3), lightness in [0, 1], as sRGB (..., 3); clipped to the gamut."""
    lms = (np.asarray(lab, dtype=np.float64) @ _TO_LMS.T) ** 3
    linear = np.clip(lms @ _TO_LINEAR_RGB.T, 0.0, 1.0)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055
    )
    rgb: Picture = np.rint(encoded * 255).astype(np.uint8)
    return rgb


def as_palette(palette: Palette) -> Picture:
    """The palette as a (K, 3) uint8 array.

    Raises:
        ConfigError: it is not a list of K red-green-blue triples in 0..255.
    """
    colours = np.asarray(palette)
    if colours.ndim != 2 or colours.shape[1] != 3 or not len(colours):
        raise ConfigError(
            f"a palette has shape {colours.shape}; it must be (K, 3), one red-green-blue triple "
            f"a class"
        )
    if colours.min() < 0 or colours.max() > 255 or (colours != np.floor(colours)).any():
        raise ConfigError(
            f"a palette has values {colours.min()}..{colours.max()}; allowed are whole numbers "
            f"in 0..255"
        )
    return colours.astype(np.uint8)


def plane_colours(places: npt.ArrayLike) -> Picture:
    """Colours (..., 3) of places (..., 2), x and y in [-1, 1], on a smooth colour plane.

    The hue tells the direction from the centre, the strength of the colour the distance, and the
    lightness grows with y; the centre is grey.
    """
    x, y = np.moveaxis(np.asarray(places, dtype=np.float64), -1, 0)
    # As strong as can be with the corners still inside sRGB: clipping would put edges on the plane.
    reach, rise = 0.09, 0.11
    return oklab_to_rgb(np.stack([0.72 + rise * y, reach * x, -reach * y], -1))
