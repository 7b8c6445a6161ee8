from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data import DeepFashion, Draw
from mcltoolkit.data.deepfashion import same_clothes
from mcltoolkit.data.poses import CHANNELS
from mcltoolkit.errors import DataError

TEST = [dict(type="PILResize", height=64, width=64)]
SHOTS = ("A/id_1/01_1_front", "A/id_1/01_2_side", "A/id_1/02_1_front", "B/id_2/01_1_front")


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for shot in SHOTS:
        photo, pose = tmp_path / "img" / f"{shot}.jpg", tmp_path / "pose" / shot
        for path in (photo, pose):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(photo)
        np.savetxt(f"{pose}_candidate.txt", [[8, 9, 0.5, 0], [20, 9, 0.6, 1]])
        np.savetxt(f"{pose}_subset.txt", [[-1, 0, 1, *[-1] * 15, 3.2, 2]])
    lines = ["img\\" + shot.replace("/", "\\") + ".jpg" for shot in SHOTS]
    (tmp_path / "train.txt").write_text("\r\n".join(lines))
    (tmp_path / "val.txt").write_text(lines[3])
    (tmp_path / "ref_test.txt").write_text(f"{lines[3]},{lines[0]}")
    pairs = [f"{lines[0]},{lines[1]},{lines[2]}", f"{lines[1]},{lines[3]},{lines[0]}"]
    (tmp_path / "pairs.txt").write_text("\n".join([*pairs, f"{lines[2]},{lines[2]}"]))
    return tmp_path


def test_names_with_backslashes_are_photos_and_poses(root):
    dataset = DeepFashion(
        root, split="validation", exemplar_list="ref_test.txt", exemplar_choice="first"
    )
    sample = dataset[0]
    assert (sample.name, sample.exemplar_name) == (SHOTS[3], SHOTS[0])
    assert sample.condition.shape == sample.exemplar_condition.shape == (20, 32, 32)
    assert sample.labels is None
    assert not sample.paired
    channel = CHANNELS.index("neck - right shoulder")
    assert sample.condition[channel, 9, 8:20].max() == 0
    assert (sample.condition[3:] == 1).all(2).all(1).sum() == 16, "the other limbs are missing"


def test_training_takes_the_truth_itself(root):
    dataset = DeepFashion(root, exemplar_list=None)
    samples = [dataset[Draw(i, n)] for i in range(4) for n in range(5)]
    assert all(s.paired and s.exemplar_name == s.name for s in samples)


def test_training_takes_the_other_view_where_the_pair_list_has_one(root):
    dataset = DeepFashion(root, pair_list="pairs.txt")
    found = {
        (s.name, s.exemplar_name) for s in (dataset[Draw(i, n)] for i in range(4) for n in range(9))
    }
    # the second line's first view is another person, the fourth photo has no line
    assert found == {(SHOTS[0], SHOTS[1]), *((shot, shot) for shot in SHOTS[1:])}
    assert dataset[0].paired
    assert not torch.equal(dataset[0].exemplar, dataset[0].truth)
    alone = DeepFashion(root, pair_list="pairs.txt", exemplar_choice="self")
    assert alone[0].exemplar_name == SHOTS[0]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("01_2_side", True),
        ("01_7_additional", True),
        ("02_1_front", False),
        ("../id_2/01_1_front", False),
    ],
)
def test_the_same_clothes_share_folder_and_first_number(other, same):
    assert same_clothes("W/id_1/01_1_front", f"W/id_1/{other}") is same


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("train.txt", "pose/A/x.jpg", ["train.txt, line 1", "'pose/A/x.jpg'", "img/WOMEN/Dresses"]),
        ("train.txt", "img/../x.jpg", ["train.txt, line 1", "'img/../x.jpg'"]),
        ("train.txt", "img/A/no.jpg", ["train.txt, line 1", "img/A/no.jpg"]),
        ("pairs.txt", f"img/{SHOTS[0]}.jpg,img/A/id_1/01_9.jpg", ["pairs.txt, line 1", "01_9.jpg"]),
        ("pairs.txt", f"img/{SHOTS[0]}.jpg,01_9.jpg", ["pairs.txt, line 1", "'01_9.jpg' found"]),
    ],
)
def test_lists_that_do_not_fit(root, name, text, parts):
    (root / name).write_text(text)
    with pytest.raises(DataError) as caught:
        DeepFashion(root, pair_list="pairs.txt")
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_pair_list_names_its_own_setting(root):
    (root / "pairs.txt").unlink()
    with pytest.raises(DataError, match=r"pairs\.txt does not exist; set pair_list .* or to None"):
        DeepFashion(root, pair_list="pairs.txt")


def test_a_photo_without_its_pose_is_found_at_the_start(root):
    (root / "pose" / f"{SHOTS[2]}_subset.txt").unlink()
    with pytest.raises(DataError, match=r"line 3: .*02_1_front_subset\.txt, which does not exist"):
        DeepFashion(root)


def test_released_samples(shared_data):
    dataset = DeepFashion(
        shared_data / "samples" / "deepfashion", split="validation", geometry=TEST,
        exemplar_list="deepfashion_ref_test.txt", exemplar_split="training",
        exemplar_choice="first",
    )  # fmt: skip
    samples = [dataset[i] for i in range(4)]
    assert samples[0].name == "WOMEN/Dresses/id_00000244/02_1_front"
    back = samples[0].exemplar_condition
    assert samples[0].exemplar_name.endswith("03_3_back")
    hidden = {CHANNELS[k] for k in range(3, 20) if (back[k] == 1).all()}
    # the back view lacks the nose and one eye: no neck, no limb at the nose
    assert {"neck - nose", "nose - right eye", "nose - left eye"} <= hidden
    front = dict(zip(CHANNELS, samples[0].condition, strict=True))
    columns = [
        float(torch.nonzero(front[f"{side} shoulder - {side} elbow"] == 0)[:, 1].float().mean())
        for side in ("right", "left")
    ]
    assert columns[0] < columns[1], "seen from the front, the right arm is on the left"
    for sample in samples:
        on_body = sample.truth[:, sample.condition[:3].max(0).values > 0]
        border = sample.truth[:, :, :4].flatten(1)
        assert border.std(1).max() < 0.05, "the padding is plain"
        assert on_body.std(1).min() > 3 * border.std(1).max(), "the skeleton lies on the person"
