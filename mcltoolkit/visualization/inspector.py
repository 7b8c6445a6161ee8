"""The match of one place: where in the exemplar it looks, and who looks at a place of the exemplar.

What a match decided for a position is one row of its weights, and who uses an exemplar position is
one column. The row comes from `Match.probabilities`; the column is what an indicator of the
position becomes when it is warped, so that no match has to be held as a matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from mcltoolkit.errors import ConfigError
from mcltoolkit.structures import Match, Prediction
from mcltoolkit.visualization.colours import Picture

Place = tuple[int, int]
Heat = npt.NDArray[np.float32]
RAMP = np.array([(70, 10, 110), (190, 40, 100), (245, 110, 40), (255, 225, 110)], dtype=np.float64)
"""Colours of heat from weak to strong; their lightness grows all the way."""
COLOUR_LEFT = 0.35
STRONGEST = 0.9
OVERSAMPLE = 4


class Seen(NamedTuple):
    """The weights of one place, on the grid of the other side.

    Attributes:
        heat: (h, w) float32.
        peak: (row, column) of the largest weight, the first of several; None where all are 0.
    """

    heat: Heat
    peak: Place | None


def seen_from(source: Prediction | Match, index: int | None, place: Place) -> Seen:
    """Where in the exemplar a place of the condition, and so of the output, has its colour from.

    Args:
        source: a prediction, or a batch's match.
        index: the sample in the batch; None is a prediction's own.
        place: (row, column) of the match's `grid`.

    Returns:
        Weights on the match's `exemplar_grid`, which sum to 1, and their peak.

    Raises:
        ConfigError: a place outside the grid, or a sample outside the batch.
    """
    match, sample = _match_of(source, index)
    row = torch.tensor([_position(place, match.grid, "condition")])
    weights = _one_of(match.probabilities(row), sample)[0]
    return _seen(weights, match.exemplar_grid)


def seen_by(source: Prediction | Match, index: int | None, place: Place) -> Seen:
    """Which places of the condition look at a place of the exemplar.

    Args:
        source: a prediction, or a batch's match.
        index: the sample in the batch; None is a prediction's own.
        place: (row, column) of the match's `exemplar_grid`.

    Returns:
        For each position of `grid` the weight that it gives to the place, divided by the largest
        of them, and the peak; all 0 without a peak where nobody looks.

    Raises:
        ConfigError: a place outside the grid, or a sample outside the batch.
    """
    match, sample = _match_of(source, index)
    column = _position(place, match.exemplar_grid, "exemplar")
    # Batch size and device are not part of the Match interface: one row tells both cheaply.
    row = match.probabilities(torch.zeros(1, dtype=torch.long))
    indicator = row.new_zeros(len(row), 1, match.exemplar_grid[0] * match.exemplar_grid[1])
    indicator[:, 0, column] = 1
    weights = _one_of(match.warp(indicator), sample)[0].detach()
    largest = weights.max()
    return _seen(torch.where(largest > 0, weights / largest, 0.0), match.grid)


def place_of_pixel(x: float, y: float, size: tuple[int, int], grid: tuple[int, int]) -> Place:
    """The grid position (row, column) of a pixel; a pixel outside counts as the nearest inside.

    Args:
        x, y: pixel coordinates from the left and from the top; the first pixel spans 0 to 1.
        size: (H, W) of the picture.
        grid: (h, w) of the match on this picture's side.
    """
    row, column = int(np.floor(y * grid[0] / size[0])), int(np.floor(x * grid[1] / size[1]))
    return min(max(row, 0), grid[0] - 1), min(max(column, 0), grid[1] - 1)


def draw_heat(picture: Picture, heat: npt.NDArray[Any], peak: Place | None = None) -> Picture:
    """The picture, paled, with heat over it; the peak is marked with a ring and a cross.

    Marks keep about the same size in relation to the picture; enlarge a small one before.

    Args:
        picture: (H, W, 3) uint8.
        heat: (h, w), at least 0, of any scale; the largest value gets the strongest colour. Each
            value fills its cell.
        peak: (row, column) of the grid, or None to mark nothing.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ConfigError: a peak outside the grid.
    """
    height, width = picture.shape[:2]
    grid = (heat.shape[0], heat.shape[1])
    values = np.asarray(heat, dtype=np.float64)
    values = values / max(values.max(), np.finfo(np.float64).tiny)
    rows = np.arange(height) * grid[0] // height
    columns = np.arange(width) * grid[1] // width
    strength = np.sqrt(values)[np.ix_(rows, columns)][..., None]
    grey = picture.mean(-1, keepdims=True)
    paled = grey + COLOUR_LEFT * (picture - grey)
    drawn = paled + STRONGEST * strength * (heat_colours(strength[..., 0]) - paled)
    shown: Picture = np.rint(drawn.clip(0, 255)).astype(np.uint8)
    if peak is None:
        return shown
    _position(peak, grid, "heat")
    y = (peak[0] + 0.5) * height / grid[0]
    x = (peak[1] + 0.5) * width / grid[1]
    return _marked(shown, x, y)


def heat_colours(strength: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Colours (..., 3), 0 to 255, of strengths (...) in [0, 1], along `RAMP`."""
    at = np.linspace(0, 1, len(RAMP))
    return np.stack([np.interp(strength, at, channel) for channel in RAMP.T], -1)


def _marked(picture: Picture, x: float, y: float) -> Picture:
    """A ring with a cross through its middle, white within black; drawn large to be smooth."""
    s = OVERSAMPLE
    height, width = picture.shape[:2]
    radius = max(3.0, min(height, width) / 22)
    line = max(1.0, radius / 5)
    overlay = Image.new("RGBA", (width * s, height * s), (128, 128, 128, 0))
    draw = ImageDraw.Draw(overlay)
    for colour, reach in (((0, 0, 0, 255), line), ((255, 255, 255, 255), 0.0)):
        thick = round((line + reach) * s)
        outer = (radius + (line + reach) / 2) * s
        draw.ellipse(
            (x * s - outer, y * s - outer, x * s + outer, y * s + outer), None, colour, thick
        )
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            # The cross ends before the middle, so that what is marked can be seen.
            ends = [(x + dx * r, y + dy * r) for r in (0.45 * radius, 1.6 * radius + reach)]
            draw.line([(a * s, b * s) for a, b in ends], colour, thick)
    small = overlay.resize((width, height), Image.Resampling.BOX)
    merged = Image.alpha_composite(Image.fromarray(picture).convert("RGBA"), small)
    return np.array(merged.convert("RGB"))


def _match_of(source: Prediction | Match, index: int | None) -> tuple[Match, int]:
    if isinstance(source, Prediction):
        return source.match, source.index if index is None else index
    if index is None:
        raise ConfigError("of a batch's match the sample has to be told; give its index from 0 on")
    return source, index


def _one_of(values: torch.Tensor, sample: int) -> torch.Tensor:
    if not 0 <= sample < len(values):
        raise ConfigError(f"sample {sample} is not in the batch; allowed are 0..{len(values) - 1}")
    return values[sample]


def _position(place: Place, grid: tuple[int, int], side: str) -> int:
    row, column = place
    if not (0 <= row < grid[0] and 0 <= column < grid[1]):
        raise ConfigError(
            f"place {(row, column)} lies outside the {side}'s grid; allowed are rows "
            f"0..{grid[0] - 1} and columns 0..{grid[1] - 1}"
        )
    return int(row) * grid[1] + int(column)


def _seen(weights: torch.Tensor, grid: tuple[int, int]) -> Seen:
    heat = weights.detach().float().cpu().reshape(grid).numpy()
    best = int(heat.argmax())
    return Seen(heat, divmod(best, grid[1]) if heat.flat[best] > 0 else None)
