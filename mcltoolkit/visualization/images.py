"""Tensors as pictures (uint8 arrays, height x width x 3), and pictures in captioned grids."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mcltoolkit.data.palette import class_palette
from mcltoolkit.errors import DataError
from mcltoolkit.files import write_atomically
from mcltoolkit.structures import Prediction
from mcltoolkit.visualization.colours import Palette, Picture, as_palette

GAP = 6
VISIBLE = 160
FONT_SIZE = 15
MAX_ROW_CAPTION = 170
INK = (55, 62, 70)
PAPER = (255, 255, 255)


def to_uint8(image: Tensor) -> Picture:
    """An image (3, H, W) or (1, H, W) in [-1, 1] as (H, W, 3); values outside are clipped, and
    what is not a number becomes black.

    Raises:
        DataError: the tensor has another shape.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise DataError(f"an image has shape {tuple(image.shape)}; it must be (3, H, W)")
    values = torch.nan_to_num(image.detach().float().cpu(), nan=-1.0, posinf=1.0, neginf=-1.0)
    scaled = ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()


def colour_labels(labels: Tensor | npt.NDArray[Any], palette: Palette) -> Picture:
    """A label map (H, W) painted with a (K, 3) palette.

    Raises:
        DataError: a label without a colour.
    """
    values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    colours = as_palette(palette)
    if values.size and (values.min() < 0 or values.max() >= len(colours)):
        raise DataError(
            f"label values {values.min()}..{values.max()} found, but the palette has colours for "
            f"0..{len(colours) - 1}; give it one colour a class"
        )
    return colours[values.astype(np.int64)]


def condition_picture(
    prediction: Prediction,
    palette: Palette | None = None,
    shown_channels: Sequence[int] | None = None,
) -> Picture:
    """The condition of a prediction as a picture (H, W, 3), see `paint_condition`."""
    return paint_condition(prediction.labels, prediction.condition, palette, shown_channels)


def paint_condition(
    labels: Tensor | None,
    dense: Tensor | None,
    palette: Palette | None = None,
    shown_channels: Sequence[int] | None = None,
) -> Picture:
    """A condition as a picture (H, W, 3).

    Labels are painted with the palette; where a dense condition with one channel a class sets
    further classes beside the label (glasses before eyes), these are painted over it. Of a dense
    condition alone, the shown channels become grey, or red, green and blue.

    Args:
        labels: (H, W), where the condition is a label map.
        dense: (C, H, W), where it is known.
        palette: (K, 3); `class_palette` where it is None.
        shown_channels: one channel or three, values in [0, 1], as a data set's metainfo gives
            them. Where it is None, the first three channels are taken (the first, where there are
            fewer), each filling its own range.

    Raises:
        DataError: a label without a colour, or neither labels nor dense condition.
    """
    if labels is not None:
        if palette is None:
            palette = class_palette(int(labels.max()) + 1 if dense is None else dense.shape[0])
        picture = colour_labels(labels, palette)
        if dense is not None and dense.shape[0] == len(palette):
            further = (dense.detach() > 0).scatter(0, labels.detach().unsqueeze(0), False)
            places = further.any(0)
            if places.any():
                over = further[:, places].int().argmax(0)
                picture[places.cpu().numpy()] = colour_labels(over, palette)
        return picture
    if dense is None:
        raise DataError("neither labels nor a dense condition is given; there is nothing to paint")
    values = dense.detach().float().cpu()
    if shown_channels is not None:
        return to_uint8(values[list(shown_channels)] * 2 - 1)
    shown = values[:3] if values.shape[0] >= 3 else values[:1]
    low, high = shown.amin(), shown.amax()
    if low < 0 and low >= -1 and high <= 1:
        return to_uint8(shown)
    # Edges and distance maps have ranges of their own; each channel fills its own.
    span = shown.amax((1, 2), keepdim=True).clamp_min(1e-6)
    return to_uint8(shown.clamp_min(0) / span * 2 - 1)


def enlarge(picture: Picture, height: int, width: int) -> Picture:
    """The picture repeated by the largest whole factor that fits in height x width (at least 1)."""
    factor = max(1, min(height // picture.shape[0], width // picture.shape[1]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def visible_factor(picture: Picture, side: int = VISIBLE) -> int:
    """The whole factor that brings the picture's longer side nearest to `side`, at least 1."""
    return max(1, int(side / max(picture.shape[:2]) + 0.5))


@dataclass(frozen=True)
class GridLayout:
    """Where the cells of a grid lie: all of one size, `GAP` pixels apart."""

    cell_height: int
    cell_width: int
    top: int
    left: int

    def origin(self, row: int, column: int) -> tuple[int, int]:
        """The first pixel (y, x) of a cell."""
        return (
            self.top + row * (self.cell_height + GAP),
            self.left + column * (self.cell_width + GAP),
        )


def grid_layout(
    rows: Sequence[Sequence[Picture | None]],
    column_captions: Sequence[str] = (),
    row_captions: Sequence[str] = (),
    side: int = VISIBLE,
) -> GridLayout:
    """The layout that `image_grid` uses for the same arguments.

    Raises:
        DataError: there is no picture.
    """
    pictures = [picture for row in rows for picture in row if picture is not None]
    if not pictures:
        raise DataError("a grid needs at least one picture")
    factor = min(visible_factor(picture, side) for picture in pictures)
    font = caption_font()
    text = max((_fit(caption, font, MAX_ROW_CAPTION)[1] for caption in row_captions), default=0)
    return GridLayout(
        cell_height=factor * max(picture.shape[0] for picture in pictures),
        cell_width=factor * max(picture.shape[1] for picture in pictures),
        top=GAP + (FONT_SIZE + 2 * GAP if any(column_captions) else 0),
        left=GAP + (text + 2 * GAP if text else 0),
    )


def image_grid(
    rows: Sequence[Sequence[Picture | None]],
    column_captions: Sequence[str] = (),
    row_captions: Sequence[str] = (),
    side: int = VISIBLE,
) -> Picture:
    """Pictures in rows on white, with captions above the columns and left of the rows.

    Small pictures are enlarged by a whole factor with nearest, so that the longest side is about
    `side` pixels; smaller ones beside them fill their cell as far as a whole factor can.

    Args:
        rows: pictures (H, W, 3); None leaves a cell empty.
        column_captions, row_captions: may be shorter than the grid; a caption that does not fit
            is cut.
        side: the longest side of a small picture, in pixels, about.

    Raises:
        DataError: there is no picture.
    """
    layout = grid_layout(rows, column_captions, row_captions, side)
    bottom, right = layout.origin(len(rows), max(len(row) for row in rows))
    canvas = np.full((bottom, right, 3), PAPER, dtype=np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            if picture is not None:
                _place(canvas, picture, layout, *layout.origin(y, x))
    image = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(image), caption_font()
    for x, caption in enumerate(column_captions):
        left = layout.origin(0, x)[1]
        shown, _ = _fit(caption, font, layout.cell_width)
        centre = left + layout.cell_width / 2
        draw.text((centre, layout.top - GAP), shown, INK, font, anchor="ms")
    for y, caption in enumerate(row_captions):
        top = layout.origin(y, 0)[0]
        shown, _ = _fit(caption, font, MAX_ROW_CAPTION)
        middle = top + layout.cell_height / 2
        draw.text((layout.left - 2 * GAP, middle), shown, INK, font, anchor="rm")
    return np.array(image)


GRID_COLUMNS = ("condition", "exemplar", "warped", "output", "truth")
OWN_IMAGE = "own image"


def prediction_pictures(
    prediction: Prediction,
    palette: Palette | None = None,
    shown_channels: Sequence[int] | None = None,
) -> list[Picture | None]:
    """Condition, exemplar, warped exemplar, output and truth (None where there is none)."""
    truth = prediction.truth
    return [
        condition_picture(prediction, palette, shown_channels),
        to_uint8(prediction.exemplar),
        to_uint8(prediction.warped),
        to_uint8(prediction.fake),
        None if truth is None else to_uint8(truth),
    ]


def prediction_grid(
    predictions: Sequence[Prediction],
    palette: Palette | None = None,
    shown_channels: Sequence[int] | None = None,
) -> Picture:
    """One row a prediction: condition, exemplar, warped exemplar, output and, where known, the
    truth, or, where the exemplar has another style, the condition's own image.

    Args:
        palette, shown_channels: see `paint_condition`.

    Raises:
        DataError: no predictions, or a label without a colour.
    """
    rows = [prediction_pictures(p, palette, shown_channels) for p in predictions]
    captions = list(GRID_COLUMNS)
    kinds = {p.paired for p, row in zip(predictions, rows, strict=True) if row[-1] is not None}
    if not kinds:
        captions.pop()
    elif False in kinds:
        captions[-1] = OWN_IMAGE if kinds == {False} else f"{captions[-1]} / {OWN_IMAGE}"
    return image_grid(
        [row[: len(captions)] for row in rows],
        captions,
        [prediction.name for prediction in predictions],
    )


def png_bytes(picture: Picture) -> bytes:
    """The picture (H, W, 3) or, with transparency, (H, W, 4) as a PNG file's content."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def save_png(picture: Picture, path: str | os.PathLike[str]) -> Path:
    """Write the picture to `path`, whole or not at all; its folder is made.

    Raises:
        ConfigError: the place cannot be written.
    """
    return write_atomically(path, png_bytes(picture))


def caption_font(size: int = FONT_SIZE) -> Any:
    """Pillow's own scalable font."""
    return ImageFont.load_default(size)


def _fit(text: str, font: Any, width: int) -> tuple[str, int]:
    """The text, cut in its middle so that it is at most `width` pixels wide, and its width."""
    text = " ".join(text.split())
    shown, keep = text, len(text)
    while keep > 2 and font.getlength(shown) > width:
        keep -= 1
        shown = text[: (keep + 1) // 2] + "..." + text[len(text) - keep // 2 :]
    return shown, round(font.getlength(shown))


def _place(canvas: Picture, picture: Picture, layout: GridLayout, top: int, left: int) -> None:
    large = enlarge(picture, layout.cell_height, layout.cell_width)
    height, width = large.shape[:2]
    top += (layout.cell_height - height) // 2
    left += (layout.cell_width - width) // 2
    canvas[top : top + height, left : left + width] = large
