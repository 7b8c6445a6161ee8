"""Pictures as one animated file to look at: GIF or WebP, by Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mcltoolkit.errors import ConfigError
from mcltoolkit.files import whole_file

FORMATS = {".gif": "GIF", ".webp": "WEBP"}


def check_animation(path: str | Path, rate: float) -> None:
    """Refuse a file name or a rate that cannot be used.

    Raises:
        ConfigError: another ending than .gif and .webp, or a rate outside 1..50.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise ConfigError(f"animation {path}: allowed are the endings {', '.join(FORMATS)}")
    if not 1 <= rate <= 50:
        raise ConfigError(f"fps is {rate}; allowed are 1 to 50 pictures a second")


def check_sizes(pictures: Sequence[np.ndarray], path: str | Path) -> None:
    """Refuse pictures that make no animation.

    Raises:
        ConfigError: there are none, or they are of several sizes.
    """
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) != 1:
        shown = ", ".join(f"{h}x{w}" for h, w in sorted(sizes))
        raise ConfigError(
            f"animation {path}: pictures of one size are needed, found {shown or 'none'}; give "
            f"--size HEIGHT WIDTH, or leave --animation out"
        )


def save_animation(pictures: Sequence[np.ndarray], path: str | Path, rate: float = 12) -> Path:
    """Write pictures (H, W, 3) uint8 of one size to `path`, whole or not at all; it loops.

    GIF has 256 colours a picture, WebP is lossless.

    Raises:
        ConfigError: no pictures, pictures of several sizes, or see `check_animation`.
    """
    check_animation(path, rate)
    check_sizes(pictures, path)
    first, *others = (Image.fromarray(picture) for picture in pictures)
    kind = FORMATS[Path(path).suffix.lower()]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    with whole_file(path) as part, part.open("wb") as stream:
        first.save(
            stream,
            kind,
            save_all=True,
            append_images=others,
            duration=round(1000 / rate),
            loop=0,
            **lossless,
        )
    return Path(path)
