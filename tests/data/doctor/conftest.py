"""A data set without a fault, to plant one in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CLASSES = ("sky", "wall", "road", "car")
COLOURS = np.array([[70, 130, 180], [70, 70, 70], [128, 64, 128], [0, 0, 142]], np.uint8)


def made_pair(name: str, size: tuple[int, int] = (80, 96)) -> tuple[np.ndarray, np.ndarray]:
    """A photo-like image (H, W, 3) uint8 and its labels (H, W): large areas, own texture each."""
    rng = np.random.default_rng(list(name.encode()))
    field = Image.fromarray(rng.integers(0, 4, (5, 6), dtype=np.uint8))
    labels = np.array(field.resize(size[::-1], Image.Resampling.NEAREST))
    labels[:8, :32] = np.arange(4, dtype=np.uint8).repeat(8)  # each class in each picture
    image = COLOURS[labels].astype(float)
    for cells in (4, 8, 16, 40):
        noise = rng.normal(0, 25, (cells, cells)).astype(np.float32)
        image += np.array(Image.fromarray(noise).resize(size[::-1]))[..., None]
    return image.clip(0, 255).astype(np.uint8), labels


def save_pair(root: Path, split: str, name: str, size: tuple[int, int] = (80, 96)) -> None:
    """One image with its label map."""
    image, labels = made_pair(name, size)
    for kind in ("images", "annotations"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "images" / split / f"{name}.jpg", quality=92)
    Image.fromarray(labels).save(root / "annotations" / split / f"{name}.png")


def save_set(root: Path) -> Path:
    """Six pairs to train on, three to test on, lists, class names."""
    for split, names in {"training": "abcdef", "test": "xyz"}.items():
        for name in names:
            save_pair(root, split, name)
    train = list("abcdef")
    pairs = zip(train, train[1:] + train[:1], train[2:] + train[:2], strict=True)
    lines = [f"{c}.jpg,{e}.jpg,{f}.jpg" for c, e, f in pairs]
    (root / "exemplars_training.txt").write_text("\n".join(lines))
    (root / "exemplars_test.txt").write_text("x.jpg,b.jpg,c.jpg\ny.jpg,d.jpg\nz.jpg,e.jpg")
    (root / "classes.txt").write_text("\n".join(CLASSES))
    return root


@pytest.fixture
def clean_set(tmp_path: Path) -> Path:
    """Root of a data set in which there is nothing to find."""
    return save_set(tmp_path / "street")


@pytest.fixture
def codes() -> Callable[..., dict[str, tuple[str, ...]]]:
    """Examines a folder: the findings' codes with their files."""
    from mcltoolkit.data.doctor import examine, plan_of_folder

    def look(root: Path, size=(64, None), accept=(), threshold=0.9, **arguments):
        diagnosis, _ = examine(
            plan_of_folder(root, **arguments), size=size, accept=accept, threshold=threshold
        )
        found = {f.code: f.files for f in diagnosis.findings}
        assert len(found) == len(diagnosis.findings), "each code once"
        return found

    return look
