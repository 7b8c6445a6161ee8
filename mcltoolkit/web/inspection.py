"""A point that was clicked on, and the match behind it as heat over the other picture.

Points are shares (x, y) of the width and height of the picture that is shown. Where the networks
saw a padded picture, the shown one is its upper left part.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.images import enlarge, to_uint8
from mcltoolkit.visualization.inspector import (
    Place,
    Seen,
    draw_heat,
    place_of_pixel,
    seen_by,
    seen_from,
)

SIDE = 512
Point = tuple[float, float]
Grid = tuple[int, int]


def exemplar_heat(result: TranslationResult, point: Point) -> tuple[Picture, str]:
    """Where in the exemplar a point of the output has its colour from: the heat, and a line."""
    prediction = result.prediction
    match = prediction.match
    place = _place(point, result, prediction.fake, match.grid)
    seen = seen_from(prediction, None, place)
    words = f"Output at {_where(point, result)}: "
    if seen.peak is None:
        words += "the match has no weight here."
    else:
        theirs = _middle(seen.peak, match.exemplar_grid, prediction.exemplar)
        share = float(seen.heat[seen.peak])
        words += (
            f"its colour comes mostly from the ringed place of the exemplar, {theirs}, "
            f"with {share:.0%} of the weight."
        )
    return _heated(prediction.exemplar, seen, result), words


def output_heat(result: TranslationResult, point: Point) -> tuple[Picture, str]:
    """Which places of the output look at a point of the exemplar: the heat, and a line."""
    prediction = result.prediction
    match = prediction.match
    place = _place(point, result, prediction.exemplar, match.exemplar_grid)
    seen = seen_by(prediction, None, place)
    words = f"Exemplar at {_where(point, result)}: "
    if seen.peak is None:
        words += "no place of the output uses it."
    else:
        ours = _middle(seen.peak, match.grid, prediction.fake)
        words += f"used most by the ringed place of the output, {ours}."
    return _heated(prediction.fake, seen, result), words


def _place(point: Point, result: TranslationResult, image: Tensor, grid: Grid) -> Place:
    height, width = result.size
    whole = (int(image.shape[-2]), int(image.shape[-1]))
    return place_of_pixel(point[0] * width, point[1] * height, whole, grid)


def _where(point: Point, result: TranslationResult) -> str:
    height, width = result.size
    return f"x {int(point[0] * width)}, y {int(point[1] * height)}"


def _middle(place: Place, grid: Grid, image: Tensor) -> str:
    """The middle of a grid position, in pixels of the image (3, H, W)."""
    y, x = (int((place[k] + 0.5) * image.shape[k - 2] / grid[k]) for k in (0, 1))
    return f"x {x}, y {y}"


def _heated(image: Tensor, seen: Seen, result: TranslationResult) -> Picture:
    """The image with heat, large enough for a clear mark, cut to what is shown."""
    picture = to_uint8(image)
    large = enlarge(picture, SIDE, SIDE)
    factor = large.shape[0] // picture.shape[0]
    drawn = draw_heat(large, seen.heat, seen.peak)
    return np.ascontiguousarray(drawn[: result.size[0] * factor, : result.size[1] * factor])
