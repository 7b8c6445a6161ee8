from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data import Draw, FolderDataset
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.registry import DATASETS


def test_pairs_are_found_by_name(make_folder):
    root = make_folder({"training": ["one", "two"]})
    (root / "images" / "training" / "deep").mkdir()
    (root / "annotations" / "training" / "deep").mkdir()
    for kind in ("images", "annotations"):
        folder = root / kind / "training"
        shutil.copy(folder / "one.png", folder / "deep" / "one.png")
    (root / "images" / "training" / "notes.txt").write_text("no image")
    dataset = FolderDataset(str(root))
    assert [r.condition.name for r in dataset.records] == ["deep/one", "one", "two"]
    assert torch.equal(dataset[0].truth, dataset[1].truth)
    assert dataset.num_classes == 5


def test_without_a_list_every_exemplar_is_the_image(make_folder):
    dataset = FolderDataset(make_folder())
    samples = [dataset[Draw(n % 6, n)] for n in range(20)]
    assert all(s.paired and s.name == s.exemplar_name for s in samples)


def test_first_without_a_list_is_refused(make_folder):
    with pytest.raises(ConfigError, match="'first' needs an exemplar list, exemplar_list is None"):
        FolderDataset(make_folder(), exemplar_choice="first")


def test_test_split_takes_exemplars_from_training(make_folder):
    lists = {"exemplars_test.txt": "x.jpg,c.png,a.png\ny.png,b"}
    root = make_folder(lists=lists)
    dataset = FolderDataset(
        root, "test", exemplar_list="exemplars_{split}.txt", exemplar_choice=dict(mode="first")
    )
    assert [(s.name, s.exemplar_name, s.paired) for s in (dataset[0], dataset[1])] == [
        ("x", "c", False),
        ("y", "b", False),
    ]
    stored = np.array(Image.open(root / "annotations" / "training" / "c.png"))
    assert dataset[0].exemplar_labels.tolist() == stored.tolist()


def test_max_samples(make_folder):
    assert len(FolderDataset(make_folder(), max_samples=2)) == 2
    with pytest.raises(ConfigError, match="max_samples is 0"):
        FolderDataset(make_folder(), max_samples=0)


def test_listed_only_keeps_the_lists_order(make_folder):
    root = make_folder(lists={"l.txt": "e.png,a.png\nb.png,a.png"})
    dataset = FolderDataset(root, exemplar_list="l.txt", listed_only=True)
    assert [r.condition.name for r in dataset.records] == ["e", "b"]


def test_missing_root_names_the_setting(tmp_path):
    with pytest.raises(DataError) as caught:
        FolderDataset(tmp_path / "nowhere")
    for part in (str(tmp_path / "nowhere"), "data_root", "--data-root", "images/training"):
        assert part in str(caught.value)


def test_missing_split_lists_what_is_there(make_folder):
    root = make_folder()
    with pytest.raises(DataError) as caught:
        FolderDataset(root, "train")
    for part in (str(root / "images" / "train"), "'train'", "test, training", "--data-root"):
        assert part in str(caught.value)


def test_images_without_labels_are_listed(make_folder):
    root = make_folder({"training": [f"n{i}" for i in range(9)]})
    for i in range(7):
        (root / "annotations" / "training" / f"n{i}.png").unlink()
    with pytest.raises(DataError) as caught:
        FolderDataset(root)
    message = str(caught.value)
    assert "7 of 9 images" in message
    assert str(root / "annotations" / "training") in message
    assert "n0, n1, n2, n3, n4, ... 2 more" in message


def test_an_exemplar_without_labels_is_found_at_once(make_folder):
    root = make_folder(lists={"l.txt": "x.png,a.png\ny.png,b.png"})
    (root / "annotations" / "training" / "b.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images in .*training have no label map.*: b;"):
        FolderDataset(root, "test", exemplar_list="l.txt")


def test_empty_folder_and_ambiguous_names(make_folder):
    root = make_folder()
    (root / "images" / "empty").mkdir()
    (root / "annotations" / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no image; allowed are \.jpg"):
        FolderDataset(root, "empty")
    Image.new("RGB", (48, 40)).save(root / "images" / "test" / "x.jpg")
    with pytest.raises(DataError, match=r"x\.jpg and .*x\.png have the same name 'x'"):
        FolderDataset(root, "test")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "x.png,a.png\ny.png,gone.png",
            ["line 2", "exemplar 'gone.png' does not exist", "training"],
        ),
        ("x.png,a.png", ["no line for 1 of 2 images", "'test'", ": y;", "listed_only=True"]),
        ("", ["is empty"]),
        ("x.png,a.png\ny.png", ["line 2", "'y.png'"]),
    ],
)
def test_lists_that_do_not_fit(make_folder, text, parts):
    root = make_folder(lists={"l.txt": text})
    with pytest.raises(DataError) as caught:
        FolderDataset(root, "test", exemplar_list="l.txt")
    for part in [str(root / "l.txt"), *parts]:
        assert part in str(caught.value)


def test_a_listed_condition_that_does_not_exist(make_folder):
    root = make_folder(lists={"l.txt": "x.png,a.png\n\nz.png,a.png"})
    with pytest.raises(
        DataError, match=r"l\.txt, line 3: condition 'z\.png' does not exist in .*test"
    ):
        FolderDataset(root, "test", exemplar_list="l.txt", listed_only=True)


def test_number_of_classes(make_folder):
    root = make_folder()
    with pytest.raises(DataError, match=r"classes\.txt has 5 names, num_classes is 7"):
        FolderDataset(root, num_classes=7)
    (root / "classes.txt").unlink()
    with pytest.raises(
        DataError, match=r"num_classes is not set and the class file .*classes\.txt"
    ):
        FolderDataset(root)
    assert FolderDataset(root, num_classes=7).classes[6] == "class 6"
    assert FolderDataset(root, classes=list("vwxyz")).classes == list("vwxyz")


def test_label_values_are_checked_when_read(make_folder):
    root = make_folder()
    path = root / "annotations" / "training" / "c.png"
    Image.fromarray(np.full((40, 48), 9, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"c\.png: value 9 found, allowed are 0\.\.4"):
        FolderDataset(root)[2]
    assert FolderDataset(root, label_map={9: 3})[2].labels.unique().tolist() == [3]


def test_camvid_trains_unchanged(shared_data):
    dataset = DATASETS.build(
        dict(
            type="FolderDataset",
            data_root=shared_data / "camvid_128",
            split="training",
            exemplar_list="exemplars_{split}.txt",
            ignore_label=11,
            geometry=[
                dict(type="PILResize", short_side=72),
                dict(type="RandomCrop", height=64, width=64),
                dict(type="HorizontalFlip", p=0.5),
            ],
        )
    )
    assert len(dataset) == 367
    assert dataset.metainfo["classes"][3] == "road"
    assert {len(r.exemplars) for r in dataset.records} == {3}
    sample = dataset[Draw(5, 5)]
    assert sample.truth.shape == (3, 64, 64)
    assert int(sample.labels.max()) <= 11


def test_camvid_test_split(shared_data):
    dataset = FolderDataset(
        shared_data / "camvid_128",
        "test",
        exemplar_list="exemplars_{split}.txt",
        exemplar_choice="first",
    )
    assert len(dataset) == 62
    sample = dataset[0]
    assert (sample.name, sample.exemplar_name) == ("0001TP_008550", "0001TP_008370")
    assert sample.labels.shape == (128, 171)
