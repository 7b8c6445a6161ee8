"""A translation's pictures as the page shows them, with their files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.visualization.images import to_uint8
from mcltoolkit.web.canvas import label_image
from mcltoolkit.web.examples import paint
from mcltoolkit.web.inspection import Point
from mcltoolkit.web.pictures import Value, picture_value

DOWNLOAD = "Download PNG"


def output_view(
    result: TranslationResult, mark: Point | None = None, shown: np.ndarray | None = None
) -> Value:
    """The output, or `shown` in its place, with the output's file."""
    files = [(DOWNLOAD, "translation.png", _png(result.image))]
    return picture_value(result.array, shown, mark, files)


def exemplar_view(
    result: TranslationResult, mark: Point | None = None, shown: np.ndarray | None = None
) -> Value:
    """The exemplar at the size of the output, or `shown` in its place."""
    picture = to_uint8(result.prediction.exemplar)[: result.size[0], : result.size[1]]
    return picture_value(picture, shown, mark)


def condition_view(condition: np.ndarray, model: TranslationModel) -> Value:
    """The condition that was used: a label map with its file, or maps painted."""
    picture = paint(condition, model)
    if condition.ndim == 3:
        return picture_value(picture)
    assert model.palette is not None
    file = _png(label_image(condition, model.palette))
    return picture_value(picture, files=[(DOWNLOAD, "label_map.png", file)])


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, format="PNG")
    return content.getvalue()
