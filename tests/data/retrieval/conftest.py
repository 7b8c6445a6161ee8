"""Small pictures and networks that a retrieval can be tried on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def scene():
    """A picture (H, W, 3) uint8 with texture, always the same for a number."""

    def make(number, size=(48, 64)):
        rng = np.random.default_rng(number)
        height, width = size
        coarse = rng.integers(0, 255, size=(12, 16, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    return make


@pytest.fixture
def photo_folder(tmp_path, scene):
    """Writes scenes as files below `tmp_path`: names to numbers, or to pictures themselves."""

    def write(folder, pictures):
        for name, picture in pictures.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            array = scene(picture) if isinstance(picture, int) else picture
            Image.fromarray(array).save(path)
        return tmp_path / folder

    return write
