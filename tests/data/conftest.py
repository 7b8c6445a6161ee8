"""Data made on the fly, and the real samples where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the third-party samples, which are no part of the repository."""
    named = os.environ.get("MCLTOOLKIT_SAMPLES")
    places = [Path(named)] if named else [ROOT / "shared" / "data", ROOT.parent / "shared" / "data"]
    for place in places:
        if (place / "samples").is_dir():
            return place
    pytest.skip(
        f"no sample data at {', '.join(map(str, places))}; name its folder in MCLTOOLKIT_SAMPLES"
    )


def picture_of(name: str, size: tuple[int, int], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red channel tells the class, 20 times its number, so that a shift between
    image and labels shows; green and blue tell row and column."""
    rng = np.random.default_rng(list(name.encode()))
    blocks = rng.integers(num_classes, size=(size[0] // 4 + 1, size[1] // 4 + 1), dtype=np.uint8)
    labels = blocks.repeat(4, 0).repeat(4, 1)[: size[0], : size[1]]
    rows, columns = np.indices(size)
    return np.stack([20 * labels, rows, columns], axis=-1).astype(np.uint8), labels


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set in the layout of `FolderDataset` and returns its root."""

    def make(
        splits: dict[str, Iterable[str]] | None = None,
        size: tuple[int, int] = (40, 48),
        num_classes: int = 5,
        lists: dict[str, str] | None = None,
    ) -> Path:
        root = tmp_path / "set"
        for split, names in (splits or {"training": "abcdef", "test": "xy"}).items():
            for kind in ("images", "annotations"):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
            for name in names:
                image, labels = picture_of(name, size, num_classes)
                Image.fromarray(image).save(root / "images" / split / f"{name}.png")
                Image.fromarray(labels).save(root / "annotations" / split / f"{name}.png")
        (root / "classes.txt").write_text("\n".join(f"thing {k}" for k in range(num_classes)))
        for name, text in (lists or {}).items():
            (root / name).write_text(text)
        return root

    return make
