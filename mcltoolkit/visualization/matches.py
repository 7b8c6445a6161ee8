"""The match made visible: numbered points joined across the two images, and a map of positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from mcltoolkit.errors import ConfigError
from mcltoolkit.structures import Prediction
from mcltoolkit.visualization.colours import (
    GOLDEN_TURN,
    Palette,
    Picture,
    oklab_to_rgb,
    plane_colours,
)
from mcltoolkit.visualization.images import (
    PAPER,
    caption_font,
    condition_picture,
    to_uint8,
    visible_factor,
)
from mcltoolkit.visualization.sheets import shrink

Place = tuple[int, int]
PANEL = 320
LARGEST_PANEL = 384
PANEL_GAP = 40
RADIUS = 13
OVERSAMPLE = 3
WRONG = (214, 40, 40)


def matched_places(prediction: Prediction, places: Sequence[Place]) -> list[Place]:
    """The exemplar position (row, column) with the largest weight for each condition position.

    Raises:
        ConfigError: a place outside the grid.
    """
    h, w = prediction.match.grid
    for row, column in places:
        if not (0 <= row < h and 0 <= column < w):
            raise ConfigError(
                f"point {(row, column)} lies outside the match's grid; allowed are rows "
                f"0..{h - 1} and columns 0..{w - 1}"
            )
    if not places:
        return []
    rows = torch.tensor([row * w + column for row, column in places])
    weights = prediction.match.probabilities(rows.to(prediction.condition.device))
    best = weights[prediction.index].argmax(-1).tolist()
    return [divmod(int(position), prediction.match.exemplar_grid[1]) for position in best]


def choose_places(prediction: Prediction, count: int = 8) -> list[Place]:
    """`count` condition positions worth a look: the heart of each class's thickest part, larger
    classes first, then positions of a regular grid that are far from those chosen."""
    h, w = prediction.match.grid
    places: list[Place] = []
    if prediction.labels is not None:
        labels = _at_centres(prediction.labels, (h, w))
        classes, sizes = np.unique(labels, return_counts=True)
        for label in classes[np.argsort(-sizes, kind="stable")][:count]:
            places.append(_heart(labels == label))
    per_side = int(np.ceil(np.sqrt(count)))
    free = [
        (int((i + 0.5) * h / per_side), int((j + 0.5) * w / per_side))
        for i in range(per_side)
        for j in range(per_side)
    ]
    while len(places) < count:
        distance = [
            min((np.hypot((r - a) / h, (c - b) / w) for a, b in places), default=1.0)
            for r, c in free
        ]
        place = free.pop(int(np.argmax(distance)))
        if place not in places:
            places.append(place)
        if not free:
            break
    return places


def draw_match(
    prediction: Prediction,
    points: int | Sequence[Place] = 8,
    palette: Palette | None = None,
    background: tuple[int, int, int] | None = PAPER,
    shown_channels: Sequence[int] | None = None,
) -> Picture:
    """Condition (left) and exemplar (right), with numbered points joined to their best match;
    images of more than `LARGEST_PANEL` pixels a side are shrunk.

    A red ring in the exemplar marks a point that landed in another class than it came from, where
    the labels of both are known and the exemplar has that class at all.

    Args:
        points: how many points to choose, or positions (row, column) of the match's grid.
        palette: colours of the condition's classes.
        background: colour between the images; None makes it transparent, so that the picture has
            four channels.
        shown_channels: of a dense condition, see `paint_condition`.

    Raises:
        ConfigError: a point outside the grid.
    """
    places = choose_places(prediction, points) if isinstance(points, int) else list(points)
    partners = matched_places(prediction, places)
    left = _panel(shrink(condition_picture(prediction, palette, shown_channels), LARGEST_PANEL))
    right = _panel(shrink(to_uint8(prediction.exemplar), LARGEST_PANEL))
    height = max(left.shape[0], right.shape[0])
    shift = left.shape[1] + PANEL_GAP
    canvas = np.zeros((height, shift + right.shape[1], 4), dtype=np.uint8)
    if background is not None:
        canvas[:] = (*background, 255)
    for picture, x in ((left, 0), (right, shift)):
        top = (height - picture.shape[0]) // 2
        area = canvas[top : top + picture.shape[0], x : x + picture.shape[1]]
        area[:] = (*PAPER, 255)
        area[..., :3] = picture
    starts = [_pixel(place, prediction.match.grid, left, 0, height) for place in places]
    ends = [
        _pixel(place, prediction.match.exemplar_grid, right, shift, height) for place in partners
    ]
    overlay = _overlay(canvas.shape[:2], starts, ends, _wrong(prediction, places, partners))
    merged = Image.alpha_composite(Image.fromarray(canvas, "RGBA"), overlay)
    return np.array(merged if background is None else merged.convert("RGB"))


def position_key(grid: tuple[int, int]) -> Picture:
    """The colour (h, w, 3) that stands for each position of the exemplar in `position_map`."""
    return plane_colours(_coordinates(grid).permute(1, 2, 0).numpy())


def position_map(prediction: Prediction) -> Picture:
    """Where each condition position looks in the exemplar: (h, w, 3) in colours of `position_key`.

    Smooth regions mean that neighbours look at neighbours, and speckles that the match jumps. An
    undecided match looks at the middle of everything, which is grey, and so counts what is not a
    number.
    """
    match, index = prediction.match, prediction.index
    # The batch size is not part of the Match interface: one row of weights tells it cheaply.
    row = torch.zeros(1, dtype=torch.long, device=prediction.condition.device)
    batch = match.probabilities(row).shape[0]
    coordinates = _coordinates(match.exemplar_grid).flatten(1).to(row.device)
    seen = match.warp(coordinates.expand(batch, -1, -1))[index].detach().float().cpu()
    seen = torch.nan_to_num(seen, nan=0.0, posinf=0.0, neginf=0.0)
    return plane_colours(seen.reshape(2, *match.grid).permute(1, 2, 0).numpy())


def _coordinates(grid: tuple[int, int]) -> Tensor:
    """(2, h, w): x and y of each position's centre, in (-1, 1)."""
    h, w = grid
    y = (torch.arange(h) + 0.5) / h * 2 - 1
    x = (torch.arange(w) + 0.5) / w * 2 - 1
    return torch.stack([x.expand(h, w), y[:, None].expand(h, w)])


def _at_centres(labels: Tensor, grid: tuple[int, int]) -> npt.NDArray[Any]:
    """Labels (H, W) at the centre of each grid cell."""
    values = labels.detach().cpu().numpy()
    rows, columns = (
        ((np.arange(n) + 0.5) * size / n).astype(int)
        for n, size in zip(grid, values.shape, strict=True)
    )
    return np.asarray(values[np.ix_(rows, columns)])


def _heart(region: npt.NDArray[np.bool_]) -> Place:
    """The position that survives when the region is peeled from its border inwards."""
    core = region
    while True:
        padded = np.pad(core, 1)
        inner = core & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        if not inner.any():
            break
        core = inner
    rest = np.argwhere(core)
    nearest = int(np.abs(rest - rest.mean(0)).sum(1).argmin())
    return int(rest[nearest][0]), int(rest[nearest][1])


def _panel(picture: Picture) -> Picture:
    factor = visible_factor(picture, PANEL)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _pixel(
    place: Place, grid: tuple[int, int], picture: Picture, left: int, canvas_height: int
) -> tuple[float, float]:
    height, width = picture.shape[:2]
    return (
        left + (place[1] + 0.5) * width / grid[1],
        (canvas_height - height) // 2 + (place[0] + 0.5) * height / grid[0],
    )


def _wrong(
    prediction: Prediction, places: Sequence[Place], partners: Sequence[Place]
) -> list[bool]:
    if prediction.labels is None or prediction.exemplar_labels is None:
        return [False] * len(places)
    ours = _at_centres(prediction.labels, prediction.match.grid)
    theirs = _at_centres(prediction.exemplar_labels, prediction.match.exemplar_grid)
    return [
        bool(ours[place] != theirs[partner] and ours[place] in theirs)
        for place, partner in zip(places, partners, strict=True)
    ]


def _overlay(
    size: tuple[int, ...],
    starts: Sequence[tuple[float, float]],
    ends: Sequence[tuple[float, float]],
    wrong: Sequence[bool],
) -> Image.Image:
    """Lines and numbered discs on a transparent ground, drawn large and shrunk to be smooth."""
    s = OVERSAMPLE
    image = Image.new("RGBA", (size[1] * s, size[0] * s), (255, 255, 255, 0))
    draw = ImageDraw.Draw(image)
    font = caption_font(int(RADIUS * 1.3) * s)
    hues = 0.5 + np.arange(len(starts)) * GOLDEN_TURN
    chroma = 0.15
    lab = np.stack([np.full(hues.shape, 0.52), chroma * np.cos(hues), chroma * np.sin(hues)], -1)
    colours = [tuple(int(v) for v in colour) for colour in oklab_to_rgb(lab)]

    def large(point: tuple[float, float]) -> tuple[float, float]:
        return point[0] * s, point[1] * s

    for start, end in zip(starts, ends, strict=True):
        draw.line([large(start), large(end)], (255, 255, 255, 170), width=5 * s)
    for start, end, colour in zip(starts, ends, colours, strict=True):
        draw.line([large(start), large(end)], (*colour, 255), width=2 * s)
    # The last point drawn hides the others, so the first, largest class is drawn last.
    for number in reversed(range(len(starts))):
        for point, is_wrong in ((starts[number], False), (ends[number], wrong[number])):
            x, y = large(point)
            if is_wrong:
                draw.circle((x, y), (RADIUS + 6) * s, (*WRONG, 255))
            draw.circle((x, y), (RADIUS + 2) * s, (255, 255, 255, 255))
            draw.circle((x, y), RADIUS * s, (*colours[number], 255))
            draw.text((x, y), str(number + 1), (255, 255, 255, 255), font, anchor="mm")
    return image.resize((size[1], size[0]), Image.Resampling.BOX)
