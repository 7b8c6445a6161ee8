from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import Geometry, Picture
from mcltoolkit.data.face_edges import (
    CHANNELS,
    PARTS,
    FaceEdges,
    canny_edges,
    face_edge_maps,
    region_border,
)
from mcltoolkit.errors import DataError

SIZE = (24, 32)


def box(top, left, bottom, right, size=SIZE):
    region = np.zeros(size, dtype=bool)
    region[top:bottom, left:right] = True
    return region


def border_by_hand(region):
    """A pixel with an unequal neighbour above, below, left or right."""
    found = np.zeros_like(region)
    for r, c in np.ndindex(region.shape):
        for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            near = (r + dr, c + dc)
            if all(0 <= n < size for n, size in zip(near, region.shape, strict=True)):
                found[r, c] |= region[near] != region[r, c]
    return found


def test_a_border_has_both_of_its_sides():
    region = np.random.default_rng(0).random(SIZE) < 0.3
    np.testing.assert_array_equal(region_border(region), border_by_hand(region))
    assert not region_border(np.ones(SIZE, dtype=bool)).any(), "the picture's rim is no border"


def test_channels_are_in_the_released_order():
    assert len(CHANNELS) == FaceEdges().num_channels == 15
    assert CHANNELS[0] == "all edges"
    assert CHANNELS[-1] == "part borders"
    assert CHANNELS[1:14] == (
        "skin", "l_brow", "r_brow", "l_eye", "r_eye", "l_ear", "r_ear",
        "nose", "u_lip", "mouth", "l_lip", "eye_g", "hair",
    )  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_its_channel_and_the_others_are_far(part):
    region = box(5, 6, 12, 20)
    maps = face_edge_maps(np.zeros(SIZE, dtype=bool), {part: region})
    place = CHANNELS.index(part)
    assert maps.shape == (*SIZE, 15)
    assert maps.dtype == np.uint8
    border = border_by_hand(region)
    np.testing.assert_array_equal(maps[..., place] == 0, _near(border))
    assert maps[0, 0, place] == (5 - 1 + 6 - 1) // 3, "L1 to the outer corner of the border"
    others = [k for k in range(1, 14) if k != place]
    assert (maps[..., others] == 255).all()
    for k in (0, 14):
        np.testing.assert_array_equal(maps[..., k], np.where(border, 255, 0))


def test_canny_counts_in_background_and_hair_alone():
    canny = np.ones(SIZE, dtype=bool)
    skin, hair = box(4, 4, 20, 20), box(0, 0, 8, 32)
    maps = face_edge_maps(canny, {"skin": skin, "hair": hair})
    borders = border_by_hand(skin) | border_by_hand(hair)
    np.testing.assert_array_equal(maps[..., 14] == 255, borders)
    np.testing.assert_array_equal(maps[..., 0] == 255, borders | ~skin | hair)


@pytest.fixture
def face(tmp_path):
    """A photo twice as large as its masks, as in CelebAMask-HQ."""
    rng = np.random.default_rng(1)
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[8:40, 16:50] = (200, 150, 120)
    photo[50:] = rng.integers(256, size=(14, 64, 3))
    Image.fromarray(photo).save(tmp_path / "7.png")
    for part, region in (
        ("skin", box(4, 8, 20, 25, (32, 32))),
        ("nose", box(9, 12, 15, 17, (32,) * 2)),
    ):
        Image.fromarray(region.astype(np.uint8) * 255).convert("RGB").save(
            tmp_path / f"00007_{part}.png"
        )
    return Picture("7", str(tmp_path / "7.png"), str(tmp_path / "00007"))


def test_edges_are_computed_at_the_size_that_the_geometry_begins_with(face, tmp_path):
    geometry = Geometry([dict(type="PILResize", height=48, width=48)])
    image, maps = FaceEdges().read(face, geometry)
    assert image.shape == (48, 48, 3)
    with Image.open(tmp_path / "7.png") as photo:
        np.testing.assert_array_equal(image, photo.resize((48, 48), Image.BICUBIC))
    with Image.open(tmp_path / "00007_nose.png") as mask:
        nose = np.array(mask.convert("L").resize((48, 48), Image.NEAREST)) > 0
    np.testing.assert_array_equal(
        maps[..., CHANNELS.index("nose")] == 0, _near(border_by_hand(nose))
    )


def _near(border):
    """Pixels less than 3 steps from the border, by counting steps."""
    near = border
    for _ in range(2):
        grown = np.pad(near, 1)
        near = (
            grown[1:-1, 1:-1]
            | grown[:-2, 1:-1]
            | grown[2:, 1:-1]
            | grown[1:-1, :-2]
            | grown[1:-1, 2:]
        )
    return near


def test_crop_and_flip_come_afterwards_and_keep_the_channels(face):
    size = dict(type="PILResize", height=48, width=48)
    crop = dict(type="Crop", x_min=10, y_min=4, x_max=42, y_max=36)
    rng = np.random.default_rng(0)
    image, maps = FaceEdges().read(face, Geometry([size]))
    steps = Geometry([size, crop, dict(type="HorizontalFlip", p=1.0)])
    done = steps(*FaceEdges().read(face, steps), rng)
    for before, after in zip((image, maps), done, strict=True):
        np.testing.assert_array_equal(after, before[4:36, 10:42][:, ::-1])


def test_a_mask_of_another_shape_is_anothers(face, tmp_path):
    Image.fromarray(np.zeros((32, 24), np.uint8)).save(tmp_path / "00007_nose.png")
    with pytest.raises(DataError, match=r"00007_nose\.png has 32x24 pixels.* its photo 64x64"):
        FaceEdges().read(face, Geometry())


def test_values_end_in_0_to_1(face):
    labels, condition = FaceEdges().to_tensors(FaceEdges().read(face, Geometry())[1])
    assert labels is None
    assert condition.shape == (15, 64, 64)
    assert (condition.min(), condition.max()) == (0, 1)
    assert set(condition[0].unique().tolist()) == {0.0, 1.0}


def test_a_photo_without_any_edge_is_named():
    with pytest.raises(DataError, match=r"photo faces/7\.jpg: Canny found 0 edges") as caught:
        canny_edges(np.full((20, 30), 90, np.uint8), "faces/7.jpg")
    for part in ("20x30", "90..90", "replace", "scikit-image"):
        assert part in str(caught.value)


def test_canny_finds_a_step_where_it_is():
    grey = np.zeros((20, 30), np.uint8)
    grey[:, 12:] = 200
    rows, columns = np.nonzero(canny_edges(grey, "step"))
    assert set(columns) <= {11, 12}
    assert len(set(rows)) >= 16, "the picture's rim may be left out"


def test_broken_and_absent_masks(face, tmp_path):
    mask = tmp_path / "00007_nose.png"
    data = mask.read_bytes()
    mask.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"00007_nose\.png is unreadable or truncated"):
        FaceEdges().read(face, Geometry())
    Image.fromarray(np.full((32, 32), 7, np.uint8)).save(mask)
    with pytest.raises(
        DataError, match=r"00007_nose\.png: grey value 7 found, allowed are 0 .*255"
    ):
        FaceEdges().read(face, Geometry())
    mask.unlink()
    maps = FaceEdges().read(face, Geometry())[1]
    assert (maps[..., CHANNELS.index("nose")] == 255).all(), "a hidden part"
    (tmp_path / "00007_skin.png").unlink()
    with pytest.raises(DataError, match=r"7\.png has no part mask: 0 files .*00007_PART\.png"):
        FaceEdges().read(face, Geometry())
