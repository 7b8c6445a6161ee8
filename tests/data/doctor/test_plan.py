from __future__ import annotations

import shutil

import pytest

from mcltoolkit.data import FolderDataset
from mcltoolkit.data.doctor import examine, plan_of_config, plan_of_folder
from mcltoolkit.errors import ConfigError, DataError


def moved(root, name, moves):
    """The same data set in other folders."""
    new = root.parent / name
    for old, place in moves.items():
        (new / place).mkdir(parents=True, exist_ok=True)
        for file in (root / old).iterdir():
            shutil.copy(file, new / place / file.name)
    return new


LAYOUTS = {
    "img/train, masks/train": {
        "images/training": "img/train",
        "annotations/training": "masks/train",
        "images/test": "img/val",
        "annotations/test": "masks/val",
    },
    "train/images, train/labels": {
        "images/training": "train/images",
        "annotations/training": "train/labels",
        "images/test": "valid/images",
        "annotations/test": "valid/labels",
    },
    "side by side": {
        "images/training": "training",
        "annotations/training": "training",
        "images/test": "validation",
        "annotations/test": "validation",
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_common_layouts_are_understood(clean_set, codes, name):
    root = moved(clean_set, "other", LAYOUTS[name])
    plan = plan_of_folder(root, num_classes=4)
    assert [split.role for split in plan.splits] == ["training", "validation"]
    assert set(codes(root, num_classes=4)) == {"no-exemplar-list"}
    place = LAYOUTS[name]["annotations/training"]
    assert plan.label_folder(plan.splits[0].name) == root / place
    (root / place / "c.png").unlink()
    assert len(codes(root, num_classes=4)["image-without-label"]) == 1


@pytest.mark.parametrize("together", [False, True])
def test_folders_without_splits(clean_set, codes, together):
    places = ("all", "all") if together else ("all/images", "all/annotations")
    root = moved(clean_set, ".", {"images/training": places[0], "annotations/training": places[1]})
    found = codes(root / "all", num_classes=4)
    assert set(found) == {"no-held-out-split", "no-exemplar-list"}


def test_images_only(clean_set, codes):
    root = moved(clean_set, "photos", {"images/training": "."})
    found = codes(root)
    assert set(found) == {"no-labels", "no-held-out-split"}


def test_labels_whose_names_end_otherwise(clean_set, codes):
    for path in list(clean_set.glob("annotations/*/*.png")):
        path.rename(path.with_name(f"{path.stem}_labelIds.png"))
    assert plan_of_folder(clean_set).label_suffix == "_labelIds.png"
    assert codes(clean_set) == {}


def test_jpeg_labels_are_found_as_such(clean_set, codes):
    from PIL import Image

    for path in list(clean_set.glob("annotations/*/*.png")):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    found = codes(clean_set)
    assert set(found) - {"unused-class"} == {"lossy-label"}
    assert len(found["lossy-label"]) == 9


def test_an_ignore_label_outside_becomes_one_class_more(clean_set):
    plan = plan_of_folder(clean_set, ignore_label=255)
    assert (plan.num_classes, plan.ignore_label, plan.label_map) == (5, 4, {255: 4})
    assert plan.classes == ("sky", "wall", "road", "car", "unknown")
    inside = plan_of_folder(clean_set, ignore_label=3)
    assert (inside.num_classes, inside.ignore_label, inside.label_map) == (4, 3, {})


def test_folders_that_hold_nothing(clean_set, tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        plan_of_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no images in a layout.*images/training/NAME\.jpg"):
        plan_of_folder(tmp_path / "empty")
    with pytest.raises(ConfigError, match=r"--num-classes is 7, .*classes\.txt has 4 names"):
        plan_of_folder(clean_set, num_classes=7)
    with pytest.raises(ConfigError, match="--num-classes is 0"):
        plan_of_folder(clean_set, num_classes=0)
    with pytest.raises(ConfigError, match="--ignore-label is -1"):
        plan_of_folder(clean_set, ignore_label=-1)


def config(root, **changes):
    dataset = dict(
        type="FolderDataset",
        data_root=str(root),
        split="training",
        exemplar_list="exemplars_{split}.txt",
        geometry=[
            dict(type="PILResize", height=72, width=90),
            dict(type="RandomCrop", height=64, width=80),
            dict(type="HorizontalFlip", p=0.5),
        ],
    )
    dataset.update(changes)
    return {"train_dataloader": dict(dataset=dataset), "val_dataloader": None}


def test_a_configs_data_sets(clean_set):
    plan = plan_of_config(config(clean_set, ignore_label=3))
    assert plan.size == (64, 80)
    assert (plan.num_classes, plan.ignore_label) == (4, 3)
    assert plan.splits[0].exemplar_list == "exemplars_training.txt"
    assert plan_of_config(config(clean_set, classes=list("abcd"))).classes == tuple("abcd")


def config_findings(root, **changes):
    """The list findings of a config that only tests, which must load."""
    settings = {"test_dataloader": config(root, split="test", **changes)["train_dataloader"]}
    dataset = dict(settings["test_dataloader"]["dataset"])
    dataset.pop("type")
    FolderDataset(**dataset)
    diagnosis, _ = examine(plan_of_config(settings))
    return {f.code: (f.severity, f.files) for f in diagnosis.findings if f.code.startswith("list-")}


def test_a_configs_exemplars_lie_where_it_says(clean_set):
    (clean_set / "exemplars_test.txt").write_text("x.jpg,y.jpg\ny.jpg,z.jpg\nz.jpg,x.jpg")
    assert config_findings(clean_set, exemplar_split="test") == {}
    (clean_set / "exemplars_test.txt").write_text("x.jpg,x.jpg\ny.jpg,z.jpg\nz.jpg,x.jpg")
    itself = ("error", ("exemplars_test.txt, line 1: x.jpg",))
    assert config_findings(clean_set, exemplar_split="test") == {"list-self-exemplar": itself}


def test_a_split_of_exemplars_that_the_config_does_not_load(clean_set):
    assert config_findings(clean_set) == {"list-unchecked": ("note", ("images/training",))}


def test_configs_that_cannot_be_examined(clean_set, tmp_path):
    with pytest.raises(ConfigError, match="type SyntheticScenes; the doctor reads FolderDataset"):
        plan_of_config(config(clean_set, type="SyntheticScenes"))
    for kind in ("CelebAHQEdges", "CelebAHQMasks", "DeepFashion"):
        with pytest.raises(
            ConfigError, match=f"type {kind}; .*train.py.* check, as they"
        ) as caught:
            plan_of_config(config(clean_set, type=kind))
        assert "instead" not in str(caught.value)
    with pytest.raises(DataError, match="is not a folder"):
        plan_of_config(config(tmp_path / "nowhere"))
    two = config(clean_set) | {"test_dataloader": config(tmp_path)["train_dataloader"]}
    with pytest.raises(ConfigError, match="allowed is one folder"):
        plan_of_config(two)
    with pytest.raises(ConfigError, match="no data set"):
        plan_of_config({"train_dataloader": None})


def test_the_ade20k_samples_in_both_layouts(shared_data, root):
    from mcltoolkit.engine.config import load_config

    seen = []
    for layout in ("ade20k", "ade20k_flat"):
        folder = str(shared_data / "samples" / layout)
        settings = load_config(root / "configs" / "mclnet_ade20k.py", data_root=folder)
        diagnosis, _ = examine(plan_of_config(settings))
        seen.append([(f.code, f.count) for f in diagnosis.findings])
        assert diagnosis.splits == {"training": (6, 6), "validation": (6, 6)}
        assert diagnosis.num_classes == 151
        assert all(share.images for share in diagnosis.classes[:4])
    assert seen[0] == seen[1]
    # the samples come without the list of the training split
    assert seen[0][0] == ("list-unreadable", 1)


def test_camvid_as_its_readme_describes_it(shared_data):
    diagnosis, _ = examine(plan_of_folder(shared_data / "camvid_128"), size=(64, None), multiple=16)
    assert diagnosis.splits == {"training": (367,) * 2, "validation": (101,) * 2, "test": (62,) * 2}
    assert diagnosis.errors == 0
    assert {f.code for f in diagnosis.findings} == {"repeats"}
    training, validation, _ = diagnosis.findings
    assert validation.count == 100, "one clip of 7 seconds"
    assert training.count < 367 / 4
    sequences = [{part.split("/")[-1].split("_")[0] for part in pair.split(" ~ ")}
                 for finding in diagnosis.findings for pair in finding.files]  # fmt: skip
    assert all(len(pair) == 1 for pair in sequences), "only frames of one sequence repeat"
