"""Exactly one fault planted in a clean data set: exactly this finding, and the right file."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mcltoolkit.data import FolderDataset
from mcltoolkit.data.doctor import examine, plan_of_folder
from mcltoolkit.data.doctor.findings import CODES
from mcltoolkit.errors import ToolkitError

from .conftest import COLOURS, save_pair


def label_path(root, name="c", split="training"):
    return root / "annotations" / split / f"{name}.png"


def image_path(root, name="c", split="training"):
    return root / "images" / split / f"{name}.jpg"


def change_labels(root, change, name="c", split="training"):
    path = label_path(root, name, split)
    labels = change(np.array(Image.open(path)))
    Image.fromarray(labels).save(path)


def patch(value):
    def change(labels):
        labels[40:50, 40:50] = value
        return labels

    return change


def jpeg_bytes(image, quality=75):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def through_jpeg(labels):
    """Labels stored as grey 0, 10, 20, 30 in a JPEG and read from it."""
    rolled = np.roll(labels, (3, 5), (0, 1))  # borders off the JPEG's own grid
    image = Image.open(io.BytesIO(jpeg_bytes(Image.fromarray(rolled * 10), quality=90)))
    return np.array(image).clip(0, 31)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def image_without_label(root):
    label_path(root).unlink()


def label_without_image(root):
    shutil.copy(label_path(root), label_path(root, "lonely"))


def value_out_of_range(root):
    change_labels(root, patch(9))


def coloured_labels(root):
    change_labels(root, lambda labels: COLOURS[labels])


def other_size(root):
    change_labels(root, lambda labels: labels[:70])


def truncated_image(root):
    path = image_path(root)
    path.write_bytes(path.read_bytes()[:1000])


def empty_image(root):
    image_path(root).write_bytes(b"")


def truncated_label(root):
    path = label_path(root)
    path.write_bytes(path.read_bytes()[:-30])


def no_picture(root):
    label_path(root).write_text("<html>404</html>")


def leak(root):
    image = Image.open(image_path(root, "a"))
    bright = ImageEnhance.Brightness(image).enhance(1.1)
    bright.resize((120, 100)).resize((96, 80)).save(image_path(root, "x", "test"), quality=60)


def list_names_a_missing_file(root):
    edit(root / "exemplars_test.txt", "y.jpg,d.jpg", "y.jpg,gone.jpg")


def list_names_a_missing_condition(root):
    with open(root / "exemplars_test.txt", "a") as file:
        file.write("\ngone.jpg,a.jpg")


def exemplar_is_the_condition(root):
    edit(root / "exemplars_training.txt", "c.jpg,d.jpg", "c.jpg,c.jpg")


def held_out_exemplar_is_the_condition(root):
    edit(root / "exemplars_test.txt", "y.jpg,d.jpg", "y.jpg,y.jpg")


def exemplar_from_the_test_split(root):
    edit(root / "exemplars_test.txt", "y.jpg,d.jpg", "y.jpg,z.jpg")


def lossy_labels(root):
    image = Image.open(label_path(root)).convert("L")
    label_path(root).write_bytes(jpeg_bytes(image))


def labels_from_a_jpeg(root):
    (root / "classes.txt").write_text("\n".join(f"class {k}" for k in range(32)))
    change_labels(root, through_jpeg)
    stripes = np.tile(np.arange(32, dtype=np.uint8).repeat(3), (8, 1))  # all are used, cleanly
    change_labels(root, lambda labels: np.concatenate([labels[:-8], stripes]), "a")


def transparent_image(root):
    image = Image.open(image_path(root)).convert("RGBA")
    image_path(root).unlink()
    image.save(image_path(root).with_suffix(".png"))


def deep_image(root):
    image_path(root).unlink()
    grey = np.random.default_rng(0).integers(0, 65536, (80, 96), dtype=np.uint16)
    Image.fromarray(grey).save(image_path(root).with_suffix(".png"))


def printed_image(root):
    Image.open(image_path(root)).convert("CMYK").save(image_path(root))


def plain_image(root):
    Image.new("RGB", (96, 80), (90, 20, 0)).save(image_path(root))


def plain_labels(root):
    change_labels(root, np.zeros_like)


def two_of_a_name(root):
    shutil.copy(image_path(root), image_path(root).with_suffix(".jpeg"))


def small_image(root):
    save_pair(root, "training", "c", size=(40, 50))


def stretched_image(root):
    save_pair(root, "training", "c", size=(80, 240))


def repeated_image(root):
    Image.open(image_path(root, "a")).resize((192, 160)).save(image_path(root, "g"))
    labels = Image.open(label_path(root, "a")).resize((192, 160), Image.Resampling.NEAREST)
    labels.save(label_path(root, "g"))
    with open(root / "exemplars_training.txt", "a") as file:
        file.write("\ng.jpg,b.jpg")


def condition_without_a_line(root):
    edit(root / "exemplars_test.txt", "y.jpg,d.jpg\n", "")


def broken_list(root):
    (root / "exemplars_test.txt").write_text("x.jpg\n")


def no_list(root):
    (root / "exemplars_test.txt").unlink()


def unused_class(root):
    with open(root / "classes.txt", "a") as file:
        file.write("\nboat")


def untrained_class(root):
    unused_class(root)
    change_labels(root, patch(4), "x", "test")


def no_labels(root):
    shutil.rmtree(root / "annotations")


def no_held_out(root):
    shutil.rmtree(root / "images" / "test")


def nothing_to_train_on(root):
    shutil.rmtree(root / "images" / "training")


def folder_of_no_split(root):
    (root / "images" / "night").mkdir()


def no_class_names(root):
    (root / "classes.txt").unlink()


FAULTS = [
    (image_without_label, "image-without-label", "error", "images/training/c.jpg"),
    (label_without_image, "label-without-image", "warning", "annotations/training/lonely.png"),
    (value_out_of_range, "label-range", "error", "annotations/training/c.png (9)"),
    (coloured_labels, "label-colours", "error", "annotations/training/c.png (RGB)"),
    (other_size, "label-size", "error", "images/training/c.jpg (80x96, label 70x96)"),
    (truncated_image, "unreadable-image", "error", "images/training/c.jpg (image file is trunc"),
    (empty_image, "unreadable-image", "error", "images/training/c.jpg (0 bytes)"),
    (truncated_label, "unreadable-label", "error", "annotations/training/c.png ("),
    (no_picture, "unreadable-label", "error", "annotations/training/c.png (cannot identify"),
    (leak, "leak", "error", "images/test/x.jpg ~ images/training/a.jpg ("),
    (list_names_a_missing_file, "list-missing-file", "error", "exemplars_test.txt, line 2: gone"),
    (
        list_names_a_missing_condition,
        "list-missing-file",
        "error",
        "exemplars_test.txt, line 4: condition gone.jpg",
    ),
    (
        exemplar_is_the_condition,
        "list-self-exemplar",
        "warning",
        "exemplars_training.txt, line 3: c.jpg",
    ),
    (
        held_out_exemplar_is_the_condition,
        "list-self-exemplar",
        "error",
        "exemplars_test.txt, line 2: y.jpg",
    ),
    (
        exemplar_from_the_test_split,
        "list-foreign-exemplar",
        "error",
        "exemplars_test.txt, line 2: z.jpg (in test)",
    ),
    (lossy_labels, "lossy-label", "error", "annotations/training/c.png (JPEG)"),
    (labels_from_a_jpeg, "speckled-label", "warning", "annotations/training/c.png"),
    (transparent_image, "image-mode", "error", "images/training/c.png (RGBA)"),
    (deep_image, "image-mode", "error", "images/training/c.png (I;16)"),
    (printed_image, "image-mode", "error", "images/training/c.jpg (CMYK)"),
    (plain_image, "blank-image", "warning", "images/training/c.jpg"),
    (plain_labels, "blank-label", "warning", "annotations/training/c.png (0)"),
    (two_of_a_name, "same-name", "error", "images/training/c.jpeg ~ images/training/c.jpg"),
    (small_image, "small-image", "warning", "images/training/c.jpg (40x50)"),
    (stretched_image, "stretched-image", "note", "images/training/c.jpg (80x240)"),
    (repeated_image, "repeats", "warning", "images/training/g.jpg ~ images/training/a.jpg ("),
    (condition_without_a_line, "list-incomplete", "error", "images/test/y.jpg"),
    (broken_list, "list-unreadable", "error", "exemplars_test.txt"),
    (no_list, "no-exemplar-list", "note", "test"),
    (unused_class, "unused-class", "warning", "4 boat"),
    (untrained_class, "untrained-class", "warning", "4 boat"),
    (no_labels, "no-labels", "error", "street"),
    (no_held_out, "no-held-out-split", "warning", "training"),
    (folder_of_no_split, "folder-left-out", "note", "images/night"),
    (no_class_names, "classes-inferred", "note", "classes.txt"),
]


def test_nothing_is_found_in_a_clean_set(clean_set, codes):
    assert codes(clean_set) == {}


@pytest.mark.parametrize(
    ("plant", "code", "severity", "file"), FAULTS, ids=[plant.__name__ for plant, *_ in FAULTS]
)
def test_one_fault_gives_one_finding_with_the_right_file(clean_set, plant, code, severity, file):
    plant(clean_set)
    diagnosis, _ = examine(plan_of_folder(clean_set), size=(64, None))
    (finding,) = diagnosis.findings
    assert (finding.code, finding.severity, finding.count) == (code, severity, 1)
    assert file in finding.files[0]
    assert finding.allowed
    assert finding.remedy
    assert diagnosis.errors == (severity == "error")


def test_an_error_is_what_the_data_set_refuses(clean_set):
    """The doctor and `FolderDataset` agree on what cannot be read."""
    arguments = {"exemplar_list": "exemplars_{split}.txt"}
    for plant in (image_without_label, value_out_of_range, coloured_labels, other_size, leak):
        root = clean_set.parent / plant.__name__
        shutil.copytree(clean_set, root)
        plant(root)
        if plant is leak:  # can be read all the same: the measurement is what is wrong
            assert len(FolderDataset(root, **arguments)) == 6
            continue
        with pytest.raises(ToolkitError, match=r"\bc\b"):
            [FolderDataset(root, **arguments)[i] for i in range(6)]


def test_without_a_training_split_the_exemplars_are_missing_too(clean_set, codes):
    nothing_to_train_on(clean_set)
    edit(clean_set / "exemplars_test.txt", "y.jpg,d.jpg\n", "")
    assert codes(clean_set) == {
        "no-training-split": ("test",),
        "list-unchecked": ("images/training",),
        "list-incomplete": ("images/test/y.jpg",),
    }


def test_an_exemplar_that_is_nearly_the_truth(clean_set, codes):
    leak(clean_set)
    edit(clean_set / "exemplars_test.txt", "x.jpg,b.jpg", "x.jpg,a.jpg")
    found = codes(clean_set)
    assert set(found) == {"leak", "list-near-duplicate"}
    assert found["list-near-duplicate"][0].startswith("exemplars_test.txt, line 1: a.jpg ~ x.jpg")


def test_held_out_splits_that_share_a_scene(clean_set, codes):
    for kind in ("images", "annotations"):
        shutil.copytree(clean_set / kind / "test", clean_set / kind / "validation")
    shutil.copy(clean_set / "exemplars_test.txt", clean_set / "exemplars_validation.txt")
    found = codes(clean_set)
    assert set(found) == {"shared-held-out"}
    assert len(found["shared-held-out"]) == 3


def test_several_repeats_name_the_nearest_earlier_one(clean_set, codes):
    repeated_image(clean_set)
    shutil.copy(image_path(clean_set, "g"), image_path(clean_set, "h"))
    shutil.copy(label_path(clean_set, "g"), label_path(clean_set, "h"))
    with open(clean_set / "exemplars_training.txt", "a") as file:
        file.write("\nh.jpg,b.jpg")
    g, h = codes(clean_set)["repeats"]
    assert g.startswith("images/training/g.jpg ~ images/training/a.jpg")
    assert h == "images/training/h.jpg ~ images/training/g.jpg (1.00)"


def test_the_threshold_decides_what_repeats(clean_set, codes):
    shutil.copy(image_path(clean_set, "a"), image_path(clean_set, "x", "test"))
    edit(clean_set / "exemplars_test.txt", "x.jpg,b.jpg", "x.jpg,a.jpg")
    assert set(codes(clean_set, threshold=1.0)) == {"leak", "list-near-duplicate"}
    assert len(codes(clean_set, threshold=0.9)["leak"]) == 1
    lists = ["list-near-duplicate", "repeats"]
    assert len(codes(clean_set, threshold=0.2, accept=lists)["leak"]) > 1


def test_accepted_findings_are_left_out(clean_set, codes):
    value_out_of_range(clean_set)
    unused_class(clean_set)
    assert set(codes(clean_set, accept=["unused-class"])) == {"label-range"}
    with pytest.raises(ToolkitError, match="did you mean 'label-range'"):
        codes(clean_set, accept=["label-rang"])


def test_every_code_is_planted_somewhere():
    others = {"list-near-duplicate", "shared-held-out", "empty-split", "unknown-colour"}
    others |= {"no-training-split", "list-unchecked"}
    assert {code for _, code, _, _ in FAULTS} | others == set(CODES)


def test_empty_splits(clean_set, codes):
    for kind in ("images", "annotations"):
        shutil.rmtree(clean_set / kind / "test")
        (clean_set / kind / "test").mkdir()
    (clean_set / "exemplars_test.txt").unlink()
    assert set(codes(clean_set, accept=["no-exemplar-list"])) == {"empty-split"}


@pytest.mark.parametrize(("value", "label_map"), [(254, {254: 4}), (9, {9: 4}), (4, {})])
def test_an_ignore_label_above_the_classes_is_no_class(clean_set, value, label_map):
    change_labels(clean_set, patch(value))
    no_class_names(clean_set)
    diagnosis, survey = examine(plan_of_folder(clean_set, ignore_label=value), size=(64, None))
    assert [finding.code for finding in diagnosis.findings] == ["classes-inferred"]
    assert diagnosis.num_classes == 5, "the four and the unknown one"
    assert (survey.plan.ignore_label, dict(survey.plan.label_map)) == (4, label_map)
    inside, _ = examine(plan_of_folder(clean_set, ignore_label=2), size=(64, None))
    assert inside.num_classes == value + 1


def test_the_mark_255_gets_its_remedy(clean_set, codes):
    change_labels(clean_set, patch(255))
    diagnosis, _ = examine(plan_of_folder(clean_set), size=(64, None))
    (finding,) = diagnosis.findings
    assert finding.code == "label-range"
    assert finding.remedy == "if 255 means unknown: --ignore-label 255"
    assert codes(clean_set, ignore_label=255) == {}
