"""Pictures and scripts inside a page, which then needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
from html import escape

import numpy as np
from PIL import Image as PillowImage

from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.images import png_bytes

Image = bytes | Picture
"""A picture (H, W, 3 or 4), or the content of a PNG, WebP or SVG file."""
SHARP_BELOW = 200
LARGE = 60_000
"""Bytes of a PNG beyond which a picture is embedded as WebP of high quality, where that is less."""
QUALITY = 85
WEBP_SIDE = 16383
"""Pixels of a side that WebP can hold."""


def picture_source(image: Image) -> str:
    """A picture as a `data:` address."""
    content = _encoded(image) if isinstance(image, np.ndarray) else image
    kinds = {b"\x89PNG": "png", b"RIFF": "webp"}
    kind = kinds.get(content[:4], "svg+xml")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def figure(image: Image, caption: str = "", alt: str = "", kind: str = "") -> str:
    """A picture as HTML, with a caption below it; a small one is enlarged with sharp pixels."""
    sharp = isinstance(image, np.ndarray) and max(image.shape[:2]) < SHARP_BELOW
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f"<figure{f' class={kind!r}' if kind else ''}>"
        f'<img{" class=pixels" if sharp else ""} alt="{escape(alt)}" '
        f'src="{picture_source(image)}">{below}</figure>'
    )


def _encoded(picture: Picture) -> bytes:
    """A PNG, or of a large photo, where that is possible and smaller, a WebP."""
    exact = png_bytes(picture)
    if len(exact) <= LARGE or max(picture.shape[:2]) > WEBP_SIDE:
        return exact
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(picture)).save(buffer, "WEBP", quality=QUALITY)
    return min(exact, buffer.getvalue(), key=len)


def script_hash(code: str) -> str:
    """What a page's policy calls an inline script by."""
    digest = hashlib.sha256(code.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
