from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data import Geometry, Picture
from mcltoolkit.data.face_masks import CLASSES, GLASSES, FaceMasks, glasses_file
from mcltoolkit.errors import DataError

RESIZE = Geometry([dict(type="PILResize", height=32, width=32)])


@pytest.fixture
def face(tmp_path):
    folder = tmp_path / "all_parts_except_glasses"
    folder.mkdir()
    (tmp_path / "2").mkdir()
    labels = np.ones((32, 32), np.uint8)
    labels[:4], labels[10:14, 4:12], labels[10:14, 20:28] = 0, 6, 5
    Image.fromarray(labels).save(folder / "05487.png")
    photo = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "5487.png")
    return Picture("5487", str(tmp_path / "5487.png"), str(folder / "05487.png"))


def wear_glasses(tmp_path):
    glasses = np.zeros((32, 32), np.uint8)
    glasses[9:15, 3:29] = 255
    Image.fromarray(glasses).convert("RGB").save(tmp_path / "2" / "05487_eye_g.png")
    return glasses > 0


def test_glasses_are_the_third_channel_from_the_end():
    assert len(CLASSES) == 19
    assert len(CLASSES) - 3 == GLASSES == 16
    named = {
        0: "background",
        1: "skin",
        2: "hair",
        5: "l_eye",
        6: "r_eye",
        14: "cloth",
        16: "eye_g",
    }
    assert {k: CLASSES[k] for k in named} == named


def test_without_glasses_the_condition_is_one_hot(face):
    image, maps = FaceMasks().read(face, RESIZE)
    labels, condition = FaceMasks().to_tensors(maps)
    assert image.shape == (32, 32, 3)
    assert labels.dtype == torch.int64
    assert labels.unique().tolist() == [0, 1, 5, 6]
    for k in range(19):
        assert torch.equal(condition[k], (labels == k).float())


def test_glasses_lie_over_the_parts_behind_them(face, tmp_path):
    worn = wear_glasses(tmp_path)
    labels, condition = FaceMasks().to_tensors(FaceMasks().read(face, RESIZE)[1])
    assert GLASSES not in labels.unique()
    assert torch.equal(condition[GLASSES], torch.from_numpy(worn).float())
    for k in (0, 1, 5, 6):
        assert torch.equal(condition[k], (labels == k).float()), "still there"
    assert condition.sum(0).unique().tolist() == [1.0, 2.0]


def test_crop_and_flip_move_photo_labels_and_glasses_alike(face, tmp_path):
    wear_glasses(tmp_path)
    steps = [
        dict(type="PILResize", height=32, width=32),
        dict(type="Crop", x_min=2, y_min=6, x_max=26, y_max=30),
        dict(type="HorizontalFlip", p=1.0),
    ]
    geometry, source = Geometry(steps), FaceMasks()
    before = source.read(face, RESIZE)
    after = geometry(*source.read(face, geometry), np.random.default_rng(0))
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(two, one[6:30, 2:26][:, ::-1])


def test_the_glasses_class_in_the_combined_file_is_refused(face, tmp_path):
    labels = np.ones((32, 32), np.uint8)
    labels[3, 4] = GLASSES
    Image.fromarray(labels).save(face.labels)
    with pytest.raises(DataError, match=r"05487\.png: value 16 \(eye_g, glasses\) found") as caught:
        FaceMasks().read(face, RESIZE)
    assert str(tmp_path / "2" / "05487_eye_g.png") in str(caught.value)


def test_masks_of_another_shape_are_anothers(face, tmp_path):
    Image.fromarray(np.zeros((32, 24), np.uint8)).save(tmp_path / "2" / "05487_eye_g.png")
    with pytest.raises(DataError, match=r"05487_eye_g\.png has 32x24 pixels.* its photo 64x64"):
        FaceMasks().read(face, RESIZE)
    (tmp_path / "2" / "05487_eye_g.png").unlink()
    Image.fromarray(np.zeros((16, 32), np.uint8)).save(face.labels)
    with pytest.raises(DataError, match=r"/05487\.png has 16x32 pixels.* its photo 64x64"):
        FaceMasks().read(face, RESIZE)


def test_broken_files_are_named(face, tmp_path):
    (tmp_path / "2" / "05487_eye_g.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"05487_eye_g\.png is unreadable"):
        FaceMasks().read(face, RESIZE)
    Image.fromarray(np.full((32, 32), 19, np.uint8)).save(face.labels)
    with pytest.raises(DataError, match=r"value 19 found, allowed are 0\.\.18"):
        FaceMasks().read(face, RESIZE)


@pytest.mark.parametrize(
    ("number", "folder"), [("00000", "0"), ("01999", "0"), ("02000", "1"), ("29999", "14")]
)
def test_glasses_lie_in_the_folder_of_their_two_thousand(number, folder):
    file = glasses_file(f"/data/masks/all_parts_except_glasses/{number}.png")
    assert file.as_posix() == f"/data/masks/{folder}/{number}_eye_g.png"


def test_metainfo_has_classes_and_channels():
    info = FaceMasks().metainfo
    assert info["channels"] == info["classes"] == list(CLASSES)
    assert info["num_classes"] == info["condition_channels"] == len(set(info["palette"])) == 19
    assert info["ignore_label"] == 0
