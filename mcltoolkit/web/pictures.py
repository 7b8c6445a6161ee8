"""Pictures on their way to the page: data URIs, so that no file has to be kept for anybody."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.images import png_bytes

Value = dict[str, Any]
PREVIEW = 640
THUMB = 128
SMALL = 200  # pictures up to this side are sent as PNG: they are enlarged, and JPEG would show


def png_uri(content: bytes) -> str:
    """A PNG file's content as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def preview_uri(picture: Picture, side: int = PREVIEW) -> str:
    """The picture (H, W, 3) as a data URI, its longer side at most `side` pixels."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side))
    content = io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(content, format="PNG")
        return png_uri(content.getvalue())
    image.save(content, format="JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def preview_value(picture: Picture) -> Value:
    """What the page's picture component shows of a picture (H, W, 3) that may be large."""
    return _value(preview_uri(picture), picture)


def picture_value(
    picture: Picture,
    shown: Picture | None = None,
    mark: tuple[float, float] | None = None,
    files: Sequence[tuple[str, str, bytes]] = (),
) -> Value:
    """What the page's picture component shows of a picture, exactly.

    Args:
        picture: (H, W, 3); its size tells how much it is enlarged.
        shown: another picture of the same shape to show in its place.
        mark: (x, y) of the point to mark, as shares of width and height.
        files: PNG files to download: what the link says, the file's name and its content.
    """
    value = _value(png_uri(png_bytes(picture if shown is None else shown)), picture)
    value["mark"] = None if mark is None else list(mark)
    value["files"] = [
        {"label": label, "name": name, "src": png_uri(content)} for label, name, content in files
    ]
    return value


def _value(src: str, picture: Picture) -> Value:
    height, width = picture.shape[:2]
    return {"src": src, "width": width, "height": height, "mark": None, "files": []}
