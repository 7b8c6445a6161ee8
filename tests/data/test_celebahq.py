from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data import CelebAHQEdges, CelebAHQMasks, Draw
from mcltoolkit.data.celebahq import MASKS, PHOTOS
from mcltoolkit.data.face_edges import CHANNELS
from mcltoolkit.data.face_masks import CLASSES
from mcltoolkit.errors import DataError
from mcltoolkit.registry import DATASETS
from mcltoolkit.structures import collate

SMALL = [dict(type="PILResize", height=32, width=32)]
TEST = [dict(type="PILResize", height=64, width=64)]
TRAIN = [
    dict(type="PILResize", height=72, width=72),
    dict(type="RandomCrop", height=64, width=64),
    dict(type="HorizontalFlip", p=0.5),
]
IDS = (7, 1999, 2000, 5487)


@pytest.fixture
def root(tmp_path):
    """Made-up faces in both layouts at once."""
    rng = np.random.default_rng(0)
    masks = tmp_path / MASKS
    for folder in (tmp_path / PHOTOS, masks / "0", masks / "1", masks / "2"):
        folder.mkdir(parents=True)
    (masks / "all_parts_except_glasses").mkdir()
    for number in IDS:
        photo = rng.integers(256, size=(48, 48, 3), dtype=np.uint8)
        Image.fromarray(photo).save(tmp_path / PHOTOS / f"{number}.jpg")
        skin = np.zeros((24, 24), np.uint8)
        skin[4:20, 6:18] = 255
        mask = masks / str(number // 2000) / f"{number:05d}_skin.png"
        Image.fromarray(skin).convert("RGB").save(mask)
        labels = masks / "all_parts_except_glasses" / f"{number:05d}.png"
        Image.fromarray(skin // 255).save(labels)
    (tmp_path / "train.txt").write_text("2000\n5487\n")
    (tmp_path / "val.txt").write_text("1999\n7\n")
    (tmp_path / "ref.txt").write_text("7.jpg,2000.jpg\n1999.jpg,5487.jpg,2000.jpg\n")
    return tmp_path


@pytest.mark.parametrize(("kind", "channels"), [("CelebAHQEdges", 15), ("CelebAHQMasks", 19)])
def test_pictures_are_found_by_their_numbers(root, kind, channels):
    dataset = DATASETS.build(
        dict(
            type=kind, data_root=str(root), split="validation", exemplar_list="ref.txt",
            exemplar_split="training", exemplar_choice="first", geometry=SMALL,
        )
    )  # fmt: skip
    assert [(s.name, s.exemplar_name) for s in (dataset[0], dataset[1])] == [
        ("1999", "5487"),
        ("7", "2000"),
    ]
    assert dataset.num_channels == dataset.metainfo["condition_channels"] == channels
    assert len(dataset.metainfo["channels"]) == channels
    sample = dataset[0]
    assert sample.condition.shape == sample.exemplar_condition.shape == (channels, 32, 32)
    assert sample.condition.dtype == torch.float32
    assert not sample.paired
    batch = collate([sample, sample])
    batch.check(channels)
    assert torch.equal(batch.with_one_hot(channels).condition, batch.condition)


def test_edges_have_no_labels_and_masks_have_them(root):
    edges, masks = CelebAHQEdges(root, geometry=SMALL), CelebAHQMasks(root, geometry=SMALL)
    assert edges[0].labels is edges[0].exemplar_labels is None
    assert masks[0].labels.unique().tolist() == [0, 1]
    assert torch.equal(masks[0].labels, masks[0].condition[:2].argmax(0))


@pytest.mark.parametrize("kind", [CelebAHQEdges, CelebAHQMasks])
def test_numbers_that_do_not_exist(root, kind):
    (root / "train.txt").write_text("2000\n12\n5487\n")
    with pytest.raises(DataError, match=r"train\.txt, line 2: 12 needs .*12\.jpg.* 1 of 3") as c:
        kind(root)
    assert str(root / PHOTOS / "12.jpg") in str(c.value)
    (root / "train.txt").write_text("2000\nface\n")
    with pytest.raises(DataError, match=r"line 2: 'face' found, allowed are numbers of photos"):
        kind(root)


def test_a_photo_without_any_mask_is_found_at_the_start(root):
    (root / MASKS / "2" / "05487_skin.png").unlink()
    with pytest.raises(DataError, match=r"line 2: 5487 needs .*2/05487_skin\.png"):
        CelebAHQEdges(root)
    (root / MASKS / "all_parts_except_glasses" / "05487.png").unlink()
    with pytest.raises(DataError, match=r"5487 needs .*all_parts_except_glasses/05487\.png"):
        CelebAHQMasks(root)


def test_folders_of_the_layout_are_asked_for(root):
    shutil.rmtree(root / MASKS / "all_parts_except_glasses")
    CelebAHQEdges(root)
    with pytest.raises(DataError, match="all_parts_except_glasses does not exist; set data_root"):
        CelebAHQMasks(root)


def released(shared_data, folder, kind, **settings):
    return kind(shared_data / "samples" / folder, **settings)


def centre(plane: torch.Tensor) -> tuple[float, float]:
    """Mean row and column of the positive pixels, as shares of the size."""
    rows, columns = torch.nonzero(plane, as_tuple=True)
    return float(rows.float().mean()) / plane.shape[0], float(columns.float().mean()) / plane.shape[
        1
    ]


def test_released_edge_samples(shared_data):
    dataset = released(
        shared_data, "celebahqedge", CelebAHQEdges, split="validation", geometry=TEST,
        exemplar_list="celebahq_ref_test.txt", exemplar_split="training", exemplar_choice="first",
    )  # fmt: skip
    samples = [dataset[i] for i in range(4)]
    assert [(s.name, s.exemplar_name) for s in samples] == [
        ("29642", "26397"), ("29539", "14721"), ("29318", "15064"), ("22233", "2994"),
    ]  # fmt: skip
    hidden = dict.fromkeys(CHANNELS, 0)
    for sample in samples:
        for condition in (sample.condition, sample.exemplar_condition):
            planes = dict(zip(CHANNELS, condition, strict=True))
            for name, plane in planes.items():
                hidden[name] += bool((plane == 1).all())
            assert ((planes["all edges"] == 1) | (planes["part borders"] == 0)).all()
            assert planes["all edges"].sum() > planes["part borders"].sum() > 0
            # the person's left is on the right of the picture
            left, right = (centre(planes[f"{side}_eye"] == 0) for side in "lr")
            assert left[1] > 0.5 > right[1]
            assert centre(planes["l_brow"] == 0)[0] < left[0] < centre(planes["nose"] == 0)[0]
    present = {name: 8 - count for name, count in hidden.items()}
    listed = dict(skin=8, hair=8, nose=8, l_brow=8, r_eye=8, u_lip=8, mouth=5, r_ear=5, l_ear=4)
    assert {name: present[name] for name in listed} == listed
    assert present["eye_g"] == 0


def test_released_mask_samples(shared_data):
    dataset = released(
        shared_data, "celebahq", CelebAHQMasks, split="validation", geometry=TEST,
        exemplar_list="celebahq_ref_test.txt", exemplar_choice="first",
    )  # fmt: skip
    assert len(dataset) == 4
    for sample in (dataset[i] for i in range(4)):
        assert torch.equal(sample.condition.argmax(0), sample.labels), "nobody wears glasses"
        left, right = (centre(sample.condition[CLASSES.index(f"{side}_eye")]) for side in "lr")
        assert left[1] > 0.5 > right[1]
        assert centre(sample.condition[CLASSES.index("hair")])[0] < left[0]


def test_released_training_samples_are_cropped_and_flipped_alike(shared_data):
    dataset = released(shared_data, "celebahq", CelebAHQMasks, geometry=TRAIN)
    samples = [dataset[Draw(n % 4, n)] for n in range(12)]
    assert all(s.paired and s.name == s.exemplar_name for s in samples)
    assert any((s.labels != s.exemplar_labels).any() for s in samples)
    skin = CLASSES.index("skin")
    flipped = [centre(s.condition[CLASSES.index("l_eye")])[1] < 0.5 for s in samples]
    assert 0 < sum(flipped) < 12, "left eyes stay left eyes, on either side"
    for s in samples:
        face, ground = s.truth[:, s.labels == skin], s.truth[:, s.labels == 0]
        assert (face.mean(1) - ground.mean(1)).abs().max() > 0.05, "photo and labels stay aligned"


def test_a_cut_off_part_mask_is_named(shared_data, tmp_path):
    shutil.copytree(shared_data / "samples" / "celebahqedge", tmp_path / "copy")
    path = tmp_path / "copy" / MASKS / "1" / "02994_hair.png"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:300])
    dataset = CelebAHQEdges(tmp_path / "copy", geometry=TEST)
    with pytest.raises(DataError, match=r"02994_hair\.png is unreadable or truncated"):
        dataset[3]
