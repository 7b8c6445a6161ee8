from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data import Draw, Geometry, LabelMaps, Picture, Record, RecordDataset
from mcltoolkit.data.conditions import DenseMaps, load_image

RECIPE = [
    dict(type="PILResize", height=36, width=36),
    dict(type="RandomCrop", height=32, width=32),
    dict(type="HorizontalFlip", p=0.5),
]


class RedAndGreen(DenseMaps):
    """The image's own red and green, so that a shift between image and condition shows."""

    channels = ("red", "green")
    shown_channels = (0,)
    num_channels = 2

    def read(self, picture, geometry):
        _, image = load_image(picture, geometry)
        return image, np.ascontiguousarray(image[..., :2])


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for name in "abc":
        path = tmp_path / f"{name}.png"
        Image.fromarray(rng.integers(256, size=(50, 40, 3), dtype=np.uint8)).save(path)
        found.append(Picture(name, str(path), ""))
    return found


def same(image, condition):
    torch.testing.assert_close((image[:2] + 1) / 2, condition, atol=1e-6, rtol=0)


def test_dense_conditions_stay_aligned_with_their_images(pictures):
    a, b, _ = pictures
    dataset = RecordDataset([Record(a, (b,))], RedAndGreen(), geometry=RECIPE)
    seen = set()
    for number in range(40):
        sample = dataset[Draw(0, number)]
        assert sample.labels is sample.exemplar_labels is None
        same(sample.truth, sample.condition)
        same(sample.exemplar, sample.exemplar_condition)
        seen.add((sample.exemplar_name, sample.paired))
        if sample.paired:
            assert not torch.equal(sample.condition, sample.exemplar_condition)
    assert seen == {("a", True), ("b", False)}


def test_an_exemplar_geometry_of_another_size_reads_anew(pictures):
    small = [dict(type="PILResize", height=16, width=20)]
    dataset = RecordDataset(
        [Record(pictures[0])], RedAndGreen(), geometry=RECIPE, exemplar_geometry=small
    )
    sample = dataset[0]
    assert sample.condition.shape == (2, 32, 32)
    assert sample.exemplar_condition.shape == (2, 16, 20)
    same(sample.exemplar, sample.exemplar_condition)


def test_another_view_stands_in_for_the_truth_itself(pictures):
    a, b, c = pictures
    record = Record(a, exemplars=(b,), pair=c)

    def drawn(**choice):
        dataset = RecordDataset([record], RedAndGreen(), RECIPE, exemplar_choice=choice)
        samples = [dataset[Draw(0, n)] for n in range(30)]
        return {(s.exemplar_name, s.paired) for s in samples}

    assert drawn(mode="recipe") == {("b", False), ("c", True)}
    assert drawn(mode="recipe", retrieved=0.0) == {("c", True)}
    assert drawn(mode="self") == {("a", True)}
    assert drawn(mode="first") == {("b", False)}


def test_the_image_is_loaded_at_the_size_that_the_geometry_begins_with(pictures):
    stored, image = load_image(pictures[0], Geometry(RECIPE))
    assert stored.shape == (50, 40, 3)
    expected = Image.fromarray(stored).resize((36, 36), Image.BICUBIC)
    np.testing.assert_array_equal(image, expected)
    stored, image = load_image(pictures[0], Geometry(RECIPE[1:]))
    np.testing.assert_array_equal(image, stored)


def test_metainfo_tells_the_channels(pictures):
    dataset = RecordDataset([Record(pictures[0])], RedAndGreen())
    assert dataset.num_channels == 2
    assert dataset.metainfo == {
        "channels": ["red", "green"],
        "shown_channels": (0,),
        "condition_channels": 2,
    }
    assert LabelMaps(7).metainfo["condition_channels"] == LabelMaps(7).num_channels == 7
