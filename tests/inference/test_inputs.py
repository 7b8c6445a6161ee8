import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.conversion import RECIPES
from mcltoolkit.data import ADE20K
from mcltoolkit.errors import DataError
from mcltoolkit.inference.inputs import (
    check_pair,
    condition_fields,
    read_condition,
    read_exemplar,
)
from mcltoolkit.inference.settings import ConditionForm
from mcltoolkit.structures import Batch


def labels(*size):
    return np.zeros(size, np.uint8)


def image(*size):
    return np.zeros((*size, 3), np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (333, 500), (167, 250), (683, 1024)])
def test_exemplar_labels_of_the_exemplar_s_shape(size):
    """Each is round(s * side) of a photo of the same shape; 2:3 photos have odd halves."""
    photo = (64, 64) if size[0] == size[1] else (1000, 1500)
    check_pair(image(*photo), labels(*size), ("e.jpg", "l.png"))
    check_pair(image(*size), labels(*photo), ("e.jpg", "l.png"))


@pytest.mark.parametrize("size", [(30, 90), (64, 63), (128, 126), (96, 64)])
def test_exemplar_labels_of_another_shape(size):
    words = rf"e\.jpg has 64x64 pixels.*l\.png {size[0]}x{size[1]}"
    with pytest.raises(DataError, match=words):
        check_pair(image(64, 64), labels(*size), ("e.jpg", "l.png"))
    check_pair(image(64, 64), np.zeros((5, *size)), ("e.jpg", "l.npy"))  # maps are made to size


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_label_arrays_are_whole_numbers(dtype):
    array = np.full((4, 4), 1.6, dtype)
    with pytest.raises(DataError, match="condition: a label map of .*allowed are whole numbers"):
        read_condition(array, ConditionForm(7))
    for whole in (np.uint8, np.int64, bool):
        given = np.eye(4, dtype=whole)
        assert np.array_equal(read_condition(given, ConditionForm(7)), given)


@pytest.mark.parametrize(("value", "dtype"), [(255, np.uint8), (2, np.int64), (-1, np.int8)])
def test_maps_of_whole_numbers_are_not_scaled_by_guess(tmp_path, value, dtype):
    maps = np.zeros((3, 4, 5), dtype)
    maps[1, 2, 3] = value
    np.save(tmp_path / "c.npy", maps)
    for source in (maps, tmp_path / "c.npy"):
        with pytest.raises(DataError, match=r"8-bit maps divided by 255"):
            read_condition(source, ConditionForm(3, "maps"))
    as_trained = maps.astype(np.float32) / 255
    assert np.array_equal(read_condition(as_trained, ConditionForm(3, "maps")), as_trained)
    maps[1, 2, 3] = 1
    assert read_condition(maps, ConditionForm(3, "maps")).max() == 1


def test_ade20k_as_a_data_set_and_as_a_condition_give_one_channel_for_a_stored_value(tmp_path):
    """0 is unknown and stays channel 0, class k channel k, as the released network was trained."""
    stored = (np.arange(96 * 80) % 151).astype(np.uint8).reshape(96, 80)
    (tmp_path / "training").mkdir()
    Image.fromarray(stored).save(tmp_path / "training" / "ADE_train_1.png")
    Image.fromarray(np.stack([stored] * 3, -1)).save(tmp_path / "training" / "ADE_train_1.jpg")
    steps = [dict(type="PILResize", height=64, width=64)]
    sample = ADE20K(tmp_path, geometry=steps, exemplar_choice="self")[0]
    assert RECIPES["ade20k"].labels
    labels = read_condition(tmp_path / "training" / "ADE_train_1.png", ConditionForm(151))
    batch = Batch(
        names=["a"],
        exemplar=sample.exemplar[None],
        paired=torch.tensor([False]),
        **condition_fields(labels, (64, 64), (64, 64)),
    )
    assert torch.equal(batch.labels[0], sample.labels)
    expected = np.array(Image.fromarray(stored).resize((64, 64), Image.Resampling.NEAREST))
    one_hot = batch.with_one_hot(151).condition[0]
    assert one_hot.sum(0).eq(1).all()
    assert np.array_equal(one_hot.argmax(0).numpy(), expected)


NAMED = ConditionForm(
    3, classes=("sky", "road", "tree"), palette=[(70, 130, 180), (128, 64, 128), (107, 142, 35)]
)


@pytest.mark.parametrize("kind", ["file", "picture", "array"])
def test_unknown_labels_are_told_with_file_values_and_classes(tmp_path, kind):
    stored = np.array([[0, 1], [7, 200]], np.uint8)
    path = tmp_path / "bad.png"
    Image.fromarray(stored).save(path)
    source = {"file": path, "picture": Image.open(path), "array": stored}[kind]
    with pytest.raises(DataError) as caught:
        read_condition(source, NAMED)
    words = str(caught.value)
    assert "values 7, 200 found, allowed are 0..2 (0 sky, 1 road, 2 tree)" in words
    assert "docs/own-data.md" in words
    assert (str(path) in words) == (kind != "array")


def test_classes_that_lie_over_others_are_refused_in_label_maps_and_taken_in_maps(tmp_path):
    form = ConditionForm(3, classes=NAMED.classes, label_map={9: 2}, refused_labels=[2])
    for value in (2, 9):
        stored = np.array([[0, 1], [1, value]], np.uint8)
        Image.fromarray(stored).save(tmp_path / "l.png")
        for source in (tmp_path / "l.png", Image.fromarray(stored), stored):
            with pytest.raises(DataError, match=r"value 2 \(tree\) found, allowed are 0\.\.2 with"):
                read_condition(source, form)
    assert read_condition(np.array([[0, 1]]), form).tolist() == [[0, 1]]
    both = np.zeros((3, 2, 2), np.uint8)
    both[0], both[2, 1] = 1, 1
    np.save(tmp_path / "c.npy", both)
    assert np.array_equal(read_condition(tmp_path / "c.npy", form), both)


def test_files_of_label_arrays(tmp_path):
    stored = np.array([[0, 255], [1, 2]], np.int64)
    np.save(tmp_path / "l.npy", stored)
    assert read_condition(tmp_path / "l.npy", ConditionForm(3, label_map={255: 1})).tolist() == [
        [0, 1], [1, 2],
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"l\.npy: value 255 found"):
        read_condition(tmp_path / "l.npy", ConditionForm(3))
    with pytest.raises(DataError, match=r"\(2, 2\) found, allowed are numbers of shape 3 x height"):
        read_condition(tmp_path / "l.npy", ConditionForm(3, "maps"))


def test_an_archive_of_arrays_is_no_condition(tmp_path):
    with (tmp_path / "c.npy").open("wb") as stream:
        np.savez(stream, a=np.zeros((3, 4, 4)))
    with pytest.raises(DataError, match=r"c\.npy cannot be read .* archive of several arrays"):
        read_condition(tmp_path / "c.npy", ConditionForm(3, "maps"))


def test_label_values_are_replaced_in_files_pictures_and_arrays(tmp_path):
    stored = np.array([[0, 255], [1, 2]], np.uint8)
    Image.fromarray(stored).save(tmp_path / "l.png")
    form = ConditionForm(3, label_map={255: 1})
    for source in (tmp_path / "l.png", Image.fromarray(stored), stored, stored.astype(np.int64)):
        assert read_condition(source, form).tolist() == [[0, 1], [1, 2]]


def test_a_label_map_painted_in_colours_is_recognised(tmp_path):
    painted = np.array([[NAMED.palette[0], NAMED.palette[2]], [(1, 2, 3)] * 2], np.uint8)
    Image.fromarray(painted).save(tmp_path / "painted.png")
    for source in (tmp_path / "painted.png", Image.fromarray(painted), painted):
        with pytest.raises(DataError) as caught:
            read_condition(source, NAMED)
        words = str(caught.value)
        assert "it has 3 colours" in words
        assert "(70, 130, 180) = sky" in words
        assert "2 of them in which this model's classes are displayed" in words
        assert "tools/check_dataset.py --palette, see docs/own-data.md" in words


def test_a_photo_in_the_place_of_the_condition_is_recognised():
    photo = np.random.default_rng(0).integers(256, size=(40, 40, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="seems to be a photo: the exemplar is the photo"):
        read_condition(Image.fromarray(photo), NAMED)


def test_exemplars_with_transparency_are_refused_and_grey_ones_become_colour(tmp_path):
    rng = np.random.default_rng(0)
    grey = rng.integers(256, size=(6, 5), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    for source in (tmp_path / "grey.png", Image.fromarray(grey)):
        assert np.array_equal(read_exemplar(source), np.stack([grey] * 3, -1))
    clear = Image.fromarray(rng.integers(256, size=(6, 5, 4), dtype=np.uint8), "RGBA")
    clear.save(tmp_path / "clear.png")
    for source in (clear, tmp_path / "clear.png", clear.convert("LA")):
        with pytest.raises(DataError, match=r"has transparency \(mode '.*'\).*convert\('RGB'\)"):
            read_exemplar(source)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4), np.uint8), r"a label map is a condition; .* numpy\.stack"),
        (np.zeros((4, 4, 4), np.uint8), r"drop the alpha channel: array\[\.\.\., :3\]"),
        (np.zeros((4, 4, 3), np.float32), r"\(255 \* array\)\.round"),
        (np.zeros((2, 4, 4, 3), np.uint8), "give several pictures as a list"),
        (np.zeros((0, 4, 3), np.uint8), "exemplar has 0x4 pixels"),
        (3.5, "exemplar is a float; allowed are a file's path, a PIL image and a numpy array"),
        ("a.npy", "exemplar a.npy is an array file; the exemplar is a photo"),
        ("none.png", "exemplar none.png does not exist"),
    ],
)
def test_exemplars_that_are_none(array, words):
    with pytest.raises(DataError, match=words):
        read_exemplar(array)


def test_a_missing_file_of_maps():
    with pytest.raises(DataError, match=r"condition none\.npy does not exist"):
        read_condition("none.npy", ConditionForm(3, "maps"))
