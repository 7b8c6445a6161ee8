from __future__ import annotations

import numpy as np
import pytest

from mcltoolkit.data import scene_layouts
from mcltoolkit.data.scene_layouts import draw_layout, minimum_area


def areas(labels: np.ndarray, num_classes: int) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=num_classes)


@pytest.mark.parametrize("num_classes", [2, 6, 12])
@pytest.mark.parametrize("size", [(64, 64), (48, 96), (16, 16)])
def test_every_class_has_its_share(size, num_classes):
    rng = np.random.default_rng(0)
    least = size[0] * size[1] * 0.29 / num_classes - 1
    for _ in range(60):
        labels = draw_layout(rng, size, num_classes)
        assert labels.shape == size
        assert labels.dtype == np.uint8
        assert labels.max() < num_classes
        assert areas(labels, num_classes).min() >= least


def test_any_class_can_be_anywhere():
    rng = np.random.default_rng(1)
    layouts = np.stack([draw_layout(rng, (32, 32), 4) for _ in range(300)])
    # Share of each class at each place: a quarter, were there no chance in it.
    shares = np.stack([(layouts == k).mean(axis=0) for k in range(4)])
    assert shares.min() > 0.1
    assert shares.max() < 0.45
    assert len({layout.tobytes() for layout in layouts}) == 300


def test_layout_is_the_same_at_every_resolution():
    small = draw_layout(np.random.default_rng(3), (64, 64), 3)
    large = draw_layout(np.random.default_rng(3), (192, 192), 3)
    assert (large[1::3, 1::3] == small).mean() > 0.97


def test_bands_stand_in_when_shapes_do_not_fit(monkeypatch):
    monkeypatch.setattr(scene_layouts, "_TRIES", 0)
    monkeypatch.setattr(scene_layouts, "minimum_area", lambda size, k: size[0] * size[1] // k - 1)
    labels = draw_layout(np.random.default_rng(0), (24, 36), 5)
    counts = areas(labels, 5)
    assert counts.max() - counts.min() <= 1
    assert minimum_area((64, 64), 6) == 204
