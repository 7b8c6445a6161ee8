"""What the network sees: a page of samples, with every channel of a dense condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from mcltoolkit.structures import Sample
from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.images import image_grid, paint_condition, to_uint8

SIDE = 160
RIM = 128


def sample_sheet(
    dataset: Any,
    count: int = 4,
    items: Sequence[Any] | None = None,
    side: int = SIDE,
    channels: bool = True,
) -> Picture:
    """A page to look at: one column a sample; truth, exemplar, both conditions and the channels.

    Args:
        dataset: gives `Sample`s and, in `metainfo`, palette, channels and shown channels.
        count: the first so many samples.
        items: indices or `Draw`s to show instead.
        side: longest side of a picture, pixels; larger ones are shrunk, small ones enlarged.
        channels: show the channels of a dense condition too, each in grey.

    Returns:
        (rows, columns, 3) uint8.

    Raises:
        DataError: the data set has no sample to show, or a file of one is broken.
    """
    info = dataset.metainfo
    chosen = range(min(count, len(dataset))) if items is None else items
    samples = [dataset[item] for item in chosen]
    names = ["truth", "exemplar", "condition", "condition of exemplar"]
    columns = [_pictures(sample, info) for sample in samples]
    if channels and samples and samples[0].condition is not None:
        names += list(info.get("channels") or map(str, range(len(samples[0].condition))))
        for column, sample in zip(columns, samples, strict=True):
            column += [to_uint8(plane[None] * 2 - 1) for plane in sample.condition]
    rows = [
        [None if picture is None else framed(shrink(picture, side)) for picture in row]
        for row in zip(*columns, strict=True)
    ]
    return image_grid(rows, [sample.name for sample in samples], names, side)


def shrink(picture: Picture, side: int) -> Picture:
    """The picture with its longer side at most `side`, averaged over areas; smaller ones as is."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def framed(picture: Picture) -> Picture:
    """The picture with a thin grey rim on its outermost pixels, so that white shows on white."""
    rim = np.full_like(picture, RIM)
    rim[1:-1, 1:-1] = picture[1:-1, 1:-1]
    return rim


def _pictures(sample: Sample, info: dict[str, Any]) -> list[Picture | None]:
    def condition(labels: Tensor | None, dense: Tensor | None) -> Picture | None:
        if labels is None and dense is None:
            return None
        return paint_condition(labels, dense, info.get("palette"), info.get("shown_channels"))

    return [
        None if sample.truth is None else to_uint8(sample.truth),
        to_uint8(sample.exemplar),
        condition(sample.labels, sample.condition),
        condition(sample.exemplar_labels, sample.exemplar_condition),
    ]
