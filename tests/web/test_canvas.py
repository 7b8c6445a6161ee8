import base64

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data.palette import class_palette
from mcltoolkit.errors import DataError
from mcltoolkit.web.canvas import (
    canvas_labels,
    canvas_value,
    fits,
    label_image,
    most_text,
    resized_labels,
    shrunk_size,
)


@pytest.mark.parametrize("classes", [1, 2, 6, 19, 151, 256, 257, 432])
def test_every_class_survives_the_way_there_and_back(classes):
    labels = np.random.default_rng(classes).integers(classes, size=(24, 37))
    labels.flat[:classes] = np.arange(classes)[: labels.size]
    value = canvas_value(labels, classes)
    back = canvas_labels(value, classes, labels.size)
    np.testing.assert_array_equal(back, labels)
    assert back.dtype == (np.uint8 if classes <= 256 else np.uint16)
    assert back.dtype.isnative
    content = base64.b64decode(value["labels"])
    two = classes > 256
    first = content[0] + 256 * content[1] if two else content[0]
    assert first == labels[0, 0]
    assert len(content) == labels.size * (1 + two)


def good(**changed):
    return {**canvas_value(np.zeros((4, 6), np.uint8), 3), **changed}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "still empty"),
        ("labels", "still empty"),
        (good(drawn=False), "still empty"),
        (good(height=-4), "0 x 6 pixels"),
        (good(height=4.0), "0 x 6 pixels"),
        (good(height=True), "0 x 6 pixels"),
        (good(width=10**9), "4 x 1000000000"),
        (good(height=5), "32 characters, allowed are 40"),
        (good(labels="%%"), "2 characters, allowed are 32"),
        (good(labels="A" * 10**6), "1000000 characters, allowed are 32"),
        (good(labels="%" * 32), "0 bytes, allowed are 24"),
        (good(labels="A" * 30 + "=="), "22 bytes, allowed are 24"),
        (good(labels=b"A" * 32), "came with bytes, allowed are 32"),
        (good(labels=["A"] * 32), "came with list, allowed are 32"),
        (good(labels=7), "came with int, allowed are 32"),
        (good(labels="AAAA" * 7 + "AAAD"), r"class 3, allowed are 0\.\.2"),
    ],
)  # fmt: skip
def test_what_no_canvas_sends_is_refused(value, told):
    assert canvas_labels(good(), 3, 24).shape == (4, 6)
    with pytest.raises(DataError, match=told):
        canvas_labels(value, 3, 24)


@pytest.mark.parametrize("text", ["A" * 10**6, ["A"] * 32, 7])
def test_what_is_too_long_is_never_decoded(text, monkeypatch):
    value = good(labels=text)
    monkeypatch.setattr(base64, "b64decode", None)
    with pytest.raises(DataError, match="reload the page"):
        canvas_labels(value, 3, 24)


@pytest.mark.parametrize("classes", [6, 300])
def test_the_longest_text_is_that_of_the_largest_map(classes):
    value = canvas_value(np.zeros((40, 50), np.uint8), classes)
    assert len(value["labels"]) == most_text(classes, 1000)


def test_sizes_keep_their_shape_and_stay_bounded():
    assert shrunk_size((32, 32), 32 * 32) == (32, 32)
    assert shrunk_size((20, 31), 32 * 32) == (20, 31), "not enlarged"
    assert shrunk_size((1000, 2000), 200 * 100) == (100, 200)
    for own in [(5000, 5000), (1, 25_000_000), (25_000_000, 1), (4000, 30), (33, 32), (1, 1)]:
        size = shrunk_size(own, 1024)
        assert fits(size, 1024), own
        assert min(size) >= 1
    assert not fits((4096, 1), 1024)
    assert not fits((64, 64), 1024)


def test_resized_labels_come_from_the_nearest_pixel():
    labels = np.array([[0, 1], [2, 3]], np.uint8)
    large = resized_labels(labels, (4, 6))
    np.testing.assert_array_equal(large, labels.repeat(2, 0).repeat(3, 1))
    assert resized_labels(labels, (2, 2)) is labels


@pytest.mark.parametrize("classes", [2, 151, 256, 300])
def test_the_file_of_a_label_map_holds_its_numbers(classes, tmp_path):
    labels = np.random.default_rng(0).integers(classes, size=(30, 20)).astype(np.uint16)
    palette = class_palette(classes)
    label_image(labels, palette).save(tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as image:
        np.testing.assert_array_equal(np.array(image), labels)
        if classes <= 256:
            painted = np.array(image.convert("RGB"))
            np.testing.assert_array_equal(painted, np.array(palette, np.uint8)[labels])
