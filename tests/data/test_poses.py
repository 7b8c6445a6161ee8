from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import Geometry, Picture
from mcltoolkit.data.poses import (
    CHANNELS,
    JOINTS,
    LIMBS,
    PoseMaps,
    draw_skeleton,
    joint_colours,
    limb_distances,
    read_pose,
)
from mcltoolkit.errors import DataError

NOWHERE = (np.nan, np.nan)


def joints_at(**places):
    """Joints by name (underscores for blanks), the others missing."""
    joints = np.full((18, 2), np.nan)
    for name, place in places.items():
        joints[JOINTS.index(name.replace("_", " "))] = place
    return joints


def write_pose(folder, detected, rows, stem="shot"):
    """Files as OpenPose's users save them; `rows` by joint number."""
    candidate = [[x, y, 0.9, n] for n, (x, y) in enumerate(detected)]
    subset = [rows.get(j, -1) for j in range(18)] + [12.5, len(rows)]
    np.savetxt(folder / f"{stem}_candidate.txt", candidate)
    np.savetxt(folder / f"{stem}_subset.txt", [subset])
    return folder / f"{stem}_candidate.txt", folder / f"{stem}_subset.txt"


def test_joints_and_limbs_are_openposes():
    assert len(JOINTS) == 18
    assert len(LIMBS) == 17
    named = {
        0: "nose",
        1: "neck",
        4: "right wrist",
        7: "left wrist",
        10: "right ankle",
        14: "right eye",
        17: "left ear",
    }
    assert {k: JOINTS[k] for k in named} == named
    ends = {frozenset(limb) for limb in LIMBS}
    assert len(ends) == 17
    for limb in LIMBS:  # no limb joins left and right
        sides = {JOINTS[j].split()[0] for j in limb} & {"left", "right"}
        assert len(sides) <= 1
    reached = {1}
    for _ in JOINTS:
        reached |= {b for a, b in LIMBS if a in reached} | {a for a, b in LIMBS if b in reached}
    assert reached == set(range(18)), "one tree"


def test_channels():
    assert len(CHANNELS) == PoseMaps().num_channels == 20
    assert CHANNELS[:4] == (
        "skeleton red",
        "skeleton green",
        "skeleton blue",
        "neck - right shoulder",
    )
    assert CHANNELS[-1] == "left eye - left ear"


def test_each_joint_has_its_own_hue_from_blue_downwards():
    colours = joint_colours()
    assert colours[0] == (0, 0, 255)
    hues = [colorsys.rgb_to_hsv(*(v / 255 for v in colour)) for colour in colours]
    np.testing.assert_allclose(
        [h for h, _, _ in hues], (240 - 20 * np.arange(18)) % 360 / 360, atol=1e-9
    )
    assert {(s, v) for _, s, v in hues} == {(1.0, 1.0)}


def test_a_lone_joint_is_a_disc_of_its_colour():
    picture = draw_skeleton(joints_at(left_hip=(20.9, 11.2)), 40, 60)
    assert picture.shape == (40, 60, 3)
    rows, columns = np.indices((40, 60))
    distance = np.hypot(rows - 11, columns - 20)
    inside = (picture == joint_colours()[11]).all(-1)
    assert inside[distance <= 3.5].all()
    assert not picture[distance > 5].any()


def test_a_limb_is_a_thin_ellipse_from_joint_to_joint():
    joints = joints_at(right_shoulder=(10, 20), right_elbow=(50, 20))
    channel = LIMBS.index((2, 3))
    maps = limb_distances(joints, 40, 60)
    near = maps[..., channel] == 0
    rows, columns = np.indices((40, 60))
    ellipse = ((columns - 30) / 20) ** 2 + ((rows - 20) / 4) ** 2
    assert near[ellipse <= 1].all()
    assert maps[20, 30, channel] == 0
    # straight above the middle the rim lies 4 pixels off, and 3 distances make one level
    assert maps[:, 30, channel].tolist() == [max(abs(r - 20) - 4, 0) // 3 for r in range(40)]
    others = [k for k in range(17) if k != channel]
    assert (maps[..., others] == 255).all()


def test_limbs_are_half_transparent():
    joints = joints_at(right_shoulder=(10, 20), right_elbow=(50, 20))
    middle = draw_skeleton(joints, 40, 60)[20, 30]
    own = np.array(joint_colours()[LIMBS.index((2, 3))])
    np.testing.assert_allclose(middle, 0.6 * own, atol=0.51)


def test_left_and_right_keep_apart():
    right = draw_skeleton(joints_at(neck=(30, 10), right_shoulder=(10, 10)), 40, 60)
    left = draw_skeleton(joints_at(neck=(30, 10), left_shoulder=(10, 10)), 40, 60)
    assert (right[10, 10] != left[10, 10]).any()


def test_a_pose_is_read_through_the_subset(tmp_path):
    files = write_pose(tmp_path, [(5, 6), (70, 80), (9, 10)], {0: 2, 11: 0})
    expected = joints_at(nose=(9, 10), left_hip=(5, 6))
    np.testing.assert_array_equal(read_pose(*files), expected)


def edit(path, change):
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("candidate", lambda t: "1 2 3\n4 5 6\n", "3 columns found, allowed are 4"),
        ("candidate", lambda t: t.replace(t.split()[5], "nan", 1), "row 1: a value that is no"),
        ("candidate", lambda t: "1 2\n3\n", "cannot be read as a table"),
        ("candidate", lambda t: "x y z w\n", "cannot be read as a table"),
        ("subset", lambda t: t.rsplit(" ", 1)[0], "19 columns found, allowed are 20"),
        ("subset", lambda t: t + t, "2 persons found, allowed is 1"),
        ("subset", lambda t: "", "0 persons found, allowed is 1"),
        ("subset", lambda t: t.replace("2.0", "3.0", 1), r"row 3 found for the nose.* 0\.\.2 \("),
        ("subset", lambda t: t.replace("2.000", "1.500", 1), r"row 1\.5 found for the nose"),
        ("subset", lambda t: t.replace("-1.000", "-2.000", 1), "row -2 found for the neck"),
    ],
)  # fmt: skip
def test_malformed_files_are_named(tmp_path, kind, change, message):
    files = write_pose(tmp_path, [(5, 6), (7, 8), (9, 10)], {0: 2, 11: 0})
    edit(tmp_path / f"shot_{kind}.txt", change)
    with pytest.raises(DataError, match=message) as caught:
        read_pose(*files)
    assert str(tmp_path / f"shot_{kind}.txt") in str(caught.value)


def test_no_joint_detected_and_missing_files(tmp_path):
    files = write_pose(tmp_path, [(5, 6)], {})
    files[0].write_text("")
    assert np.isnan(read_pose(*files)).all()
    np.savetxt(files[1], [[0] + [-1] * 19])
    with pytest.raises(DataError, match=r"row 0 found for the nose, allowed are 0\.\.-1"):
        read_pose(*files)
    files[1].unlink()
    with pytest.raises(DataError, match=r"shot_subset\.txt does not exist"):
        read_pose(*files)


@pytest.fixture
def person(tmp_path):
    photo = np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "shot.png")
    write_pose(tmp_path, [(20, 30), (40, 12), (59, 39)], {1: 0, 2: 1})
    return Picture("shot", str(tmp_path / "shot.png"), str(tmp_path / "shot"))


def test_maps_are_drawn_at_the_photos_size_and_then_resized(person):
    source = PoseMaps()
    _, drawn = source.read(person, Geometry())
    joints = joints_at(neck=(20, 30), right_shoulder=(40, 12))
    np.testing.assert_array_equal(drawn[..., :3], draw_skeleton(joints, 40, 60))
    np.testing.assert_array_equal(drawn[..., 3:], limb_distances(joints, 40, 60))
    image, maps = source.read(person, Geometry([dict(type="PILResize", height=50, width=80)]))
    assert image.shape == (50, 80, 3)
    assert maps.shape == (50, 80, 20)
    for k in range(20):
        how = Image.NEAREST if k < 3 else Image.BILINEAR
        expected = Image.fromarray(np.ascontiguousarray(drawn[..., k])).resize((80, 50), how)
        np.testing.assert_array_equal(maps[..., k], expected)


def test_a_joint_outside_the_photo_is_refused_if_it_is_used(person, tmp_path):
    write_pose(tmp_path, [(20, 30), (61, 12), (99, 99)], {1: 0})
    PoseMaps().read(person, Geometry())
    write_pose(tmp_path, [(20, 30), (61, 12), (99, 99)], {1: 0, 2: 1})
    with pytest.raises(DataError, match="right shoulder found at x 61, y 12") as caught:
        PoseMaps().read(person, Geometry())
    for part in ("shot_candidate.txt", "60x40", str(tmp_path / "shot.png")):
        assert part in str(caught.value)
