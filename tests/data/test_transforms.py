from __future__ import annotations

import pickle

import albumentations as A
import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import Geometry, PILResize, build_transform
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.registry import TRANSFORMS

RECIPE = [
    dict(type="PILResize", height=36, width=36),
    dict(type="RandomCrop", height=32, width=32),
    dict(type="HorizontalFlip", p=0.5),
]


def coded(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in the image, and again in the labels."""
    rows, columns = np.indices((height, width))
    image = np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    return image, (rows * width + columns).astype(np.uint16)


@pytest.mark.parametrize(("before", "after"), [((37, 53), (16, 20)), ((20, 24), (33, 41))])
def test_resize_is_pils(before, after):
    rng = np.random.default_rng(0)
    image = rng.integers(256, size=(*before, 3), dtype=np.uint8)
    labels = rng.integers(11, size=before, dtype=np.uint8)
    step = PILResize(height=after[0], width=after[1])
    done = step(image=image, mask=labels)
    expected = Image.fromarray(image).resize(after[::-1], Image.BICUBIC)
    np.testing.assert_array_equal(done["image"], np.array(expected))
    expected = Image.fromarray(labels).resize(after[::-1], Image.NEAREST)
    np.testing.assert_array_equal(done["mask"], np.array(expected))


def test_labels_are_sampled_at_pixel_centres():
    labels = np.arange(10, dtype=np.uint16)[None].repeat(10, 0) * 1000
    done = PILResize(height=5, width=4)(image=np.zeros((10, 10, 3), np.uint8), mask=labels)
    centres = np.floor((np.arange(4) + 0.5) * 10 / 4).astype(int)
    assert done["mask"].dtype == np.uint16
    np.testing.assert_array_equal(done["mask"], labels[:5, centres])


def test_shrinking_does_not_alias():
    # One-pixel stripes average to grey; plain bicubic sampling would keep black and white.
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::2] = 255
    small = PILResize(height=13, width=13)(image=image)["image"][2:-2, 2:-2]
    assert np.abs(small.astype(int) - 127).max() < 16


@pytest.mark.parametrize(("size", "new"), [((30, 60), (15, 30)), ((61, 31), (30, 15))])
def test_short_side_keeps_the_aspect(size, new):
    assert PILResize(short_side=15).new_size(*size) == new
    assert PILResize(short_side=15)(image=np.zeros((*size, 3), np.uint8))["image"].shape[:2] == new


@pytest.mark.parametrize("sizes", [{}, {"height": 3}, {"height": 3, "width": 3, "short_side": 3}])
def test_resize_needs_one_kind_of_size(sizes):
    with pytest.raises(ConfigError, match="allowed are height and width, or short_side alone"):
        PILResize(**sizes)


def test_resize_refuses_nothing_left():
    with pytest.raises(ConfigError, match=r"\{'width': 0\}; allowed are sizes >= 1"):
        build_transform(dict(type="PILResize", height=3, width=0))


def test_image_and_labels_stay_aligned():
    steps = [
        dict(type="RandomCrop", height=20, width=24),
        dict(type="HorizontalFlip", p=0.5),
        dict(type="OneOf", transforms=[dict(type="RandomRotate90"), dict(type="VerticalFlip")]),
    ]
    geometry, (image, labels) = Geometry(steps), coded(40, 50)
    seen = set()
    for seed in range(20):
        cut, its_labels = geometry(image, labels, np.random.default_rng(seed))
        np.testing.assert_array_equal(cut[..., 0].astype(int) * 50 + cut[..., 1], its_labels)
        seen.add(its_labels[0, 0])
    assert len(seen) > 10


def test_one_generator_decides_everything():
    image, labels = coded(40, 50)
    noisy = [*RECIPE, dict(type="ElasticTransform", p=1.0), dict(type="CoarseDropout", p=0.7)]
    first, second = Geometry(noisy), Geometry(noisy)
    second(image, labels, np.random.default_rng(99))
    np.random.seed(0)
    a = first(image, labels, np.random.default_rng(5))
    b = pickle.loads(pickle.dumps(second))(image, labels, np.random.default_rng(5))
    c = first(image, labels, np.random.default_rng(6))
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
    assert (a[0] != c[0]).any()


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        (RECIPE, (36, 36)),
        ([dict(type="PILResize", short_side=20)], (20, 25)),
        (RECIPE[1:], (40, 50)),
        ([RECIPE[2], RECIPE[0]], (40, 50)),
        ([dict(type="PILResize", height=9, width=9, p=0.5)], (40, 50)),
        ([], (40, 50)),
    ],
)
def test_the_load_size_is_that_of_a_leading_resize(steps, size):
    assert Geometry(steps).load_size(40, 50) == size


def test_maps_of_many_channels_move_like_the_image():
    image, labels = coded(40, 50)
    maps = np.dstack([(labels // (k + 1)).astype(np.uint8) for k in range(20)])
    for seed in range(8):
        geometry = Geometry(RECIPE)
        one = geometry(image, maps, np.random.default_rng(seed))
        assert one[1].shape == (32, 32, 20)
        for k in (0, 7, 19):
            alone = np.ascontiguousarray(maps[..., k])
            other = geometry(image, alone, np.random.default_rng(seed))
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1][..., k], other[1])


def test_steps_draw_independently():
    # Seeding each step alike would tie the flip to the place of the crop.
    geometry, (image, labels) = Geometry(RECIPE[1:]), coded(64, 64)
    tops, flips = [], []
    for seed in range(400):
        cut, _ = geometry(image, labels, np.random.default_rng(seed))
        tops.append(int(cut[0, 0, 0]))
        flips.append(cut[0, 0, 1] > cut[0, 1, 1])
    assert abs(np.corrcoef(tops, flips)[0, 1]) < 0.2
    assert 0.4 < np.mean(flips) < 0.6
    assert min(tops) < 3
    assert max(tops) > 29


def test_the_input_is_left_alone():
    image, labels = coded(40, 50)
    copies = image.copy(), labels.copy()
    Geometry([*RECIPE, dict(type="CoarseDropout", p=1.0)])(image, labels, np.random.default_rng(0))
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(labels, copies[1])


def test_own_names_come_first_then_albumentations():
    assert isinstance(build_transform(dict(type="HorizontalFlip")), A.HorizontalFlip)

    @TRANSFORMS.register_module(name="HorizontalFlip")
    class Mine(A.NoOp):
        pass

    try:
        assert isinstance(build_transform(dict(type="HorizontalFlip")), Mine)
    finally:
        del TRANSFORMS._module_dict["HorizontalFlip"]


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        (dict(type="RandomCorp", height=3), ["'RandomCorp'", "'RandomCrop'", "PILResize"]),
        (dict(type="PilResise"), ["'PILResize'"]),
        (dict(height=3), ["no `type`"]),
        (dict(type="RandomCrop", hight=3, width=3), ["RandomCrop", "'hight'", "'height'"]),
        (dict(type="HorizontalFlip", p=2.0), ["HorizontalFlip", "p", "2.0"]),
        (dict(type="RandomCrop", height=3), ["RandomCrop", "width"]),
    ],
)
def test_wrong_steps_are_explained(config, parts):
    with pytest.raises(ConfigError) as caught:
        Geometry([config])
    for part in parts:
        assert part in str(caught.value)


def test_a_picture_smaller_than_the_crop_is_named():
    image, labels = coded(20, 50)
    with pytest.raises(DataError) as caught:
        Geometry(RECIPE[1:])(image, labels, np.random.default_rng(0), name="some/file.jpg")
    for part in ("some/file.jpg", "20x50", "[RandomCrop, HorizontalFlip]", "PILResize"):
        assert part in str(caught.value)


def test_steps_that_leave_8_bits_are_refused():
    image, labels = coded(20, 50)
    with pytest.raises(ConfigError, match=r"\[Normalize\] returns an image of float32"):
        Geometry([dict(type="Normalize")])(image, labels, np.random.default_rng(0))
