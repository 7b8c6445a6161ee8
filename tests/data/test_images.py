from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data import image_to_tensor, labels_to_tensor, read_image, read_labels
from mcltoolkit.data.images import read_region
from mcltoolkit.errors import DataError


def save(path, array, mode=None):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(256, size=(6, 9, 3), dtype=np.uint8)


def test_rgb_is_read_as_stored(tmp_path, colours):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", colours)), colours)


def test_grey_becomes_three_equal_channels(tmp_path, colours):
    read = read_image(save(tmp_path / "a.png", colours[..., 0]))
    np.testing.assert_array_equal(read, colours[..., :1].repeat(3, -1))


def test_palette_image_becomes_its_colours(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.save(tmp_path / "a.png")
    expected = [[[10, 20, 30], [200, 100, 0]], [[200, 100, 0], [10, 20, 30]]]
    with Image.open(tmp_path / "a.png") as stored:
        assert stored.mode == "P"
    assert read_image(tmp_path / "a.png").tolist() == expected


@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK", "I;16"])
def test_other_modes_are_refused_with_the_remedy(tmp_path, colours, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        save(path, colours[..., 0].astype(np.uint16) * 256)
    else:
        save(path, colours, mode)
    with pytest.raises(DataError) as caught:
        read_image(path)
    for part in (str(path), repr(mode), "L, P, RGB", "convert"):
        assert part in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("keep", [0, 10, 0.6])
def test_truncated_files_are_named(tmp_path, suffix, keep):
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(DataError, match=r"unreadable or truncated .*download the file again") as c:
        read_image(path)
    assert str(path) in str(c.value)


def test_a_text_file_is_no_image_and_a_missing_file_is_told_apart(tmp_path):
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(DataError, match="a.png is unreadable"):
        read_labels(tmp_path / "a.png", 3)
    with pytest.raises(DataError, match=r"b\.png does not exist.*--data-root"):
        read_image(tmp_path / "b.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_labels_keep_their_numbers(tmp_path, dtype):
    labels = (np.arange(12).reshape(3, 4) % 2).astype(dtype)
    np.testing.assert_array_equal(read_labels(save(tmp_path / "a.png", labels), 2), labels)


def test_sixteen_bit_labels_reach_beyond_255(tmp_path):
    labels = np.array([[0, 299], [256, 255]], dtype=np.uint16)
    path = save(tmp_path / "a.png", labels)
    np.testing.assert_array_equal(read_labels(path, 300), labels)
    with pytest.raises(DataError, match=r"value 299 found, allowed are 0\.\.298"):
        read_labels(path, 299)


def test_palette_labels_are_indices_not_colours(tmp_path):
    image = Image.fromarray(np.array([[0, 2], [1, 2]], dtype=np.uint8))
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png", 3).tolist() == [[0, 2], [1, 2]]


def test_colour_labels_are_refused(tmp_path, colours):
    path = save(tmp_path / "a.png", colours)
    with pytest.raises(
        DataError, match=r"wrong number of channels: mode 'RGB' with 3 channels"
    ) as c:
        read_labels(path, 256)
    assert str(path) in str(c.value)
    assert "allowed is 1 channel" in str(c.value)


def test_values_out_of_range_are_listed(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 7], [255, 4]], dtype=np.uint8))
    with pytest.raises(DataError) as caught:
        read_labels(path, 5)
    for part in (str(path), "values 7, 255 found", "allowed are 0..4", "label_map", "num_classes"):
        assert part in str(caught.value)


def test_label_map_replaces_before_the_check(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 7], [255, 4]], dtype=np.uint8))
    read = read_labels(path, 5, {7: 0, 255: 1, 0: 4})
    assert read.tolist() == [[4, 0], [1, 4]]
    with pytest.raises(DataError, match=r"value 4 found, allowed are 0\.\.3"):
        read_labels(path, 4, {7: 0, 255: 1})


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_a_region_is_what_is_white(tmp_path, mode):
    inside = np.random.default_rng(0).random((6, 9)) < 0.5
    path = save(tmp_path / "a.png", inside.astype(np.uint8) * 255, mode)
    np.testing.assert_array_equal(read_region(path), inside)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0, 255, 1]], "grey value 1 found, allowed are 0"),
        ([[0, 128, 254]], "grey values 128, 254 found"),
        ([[[255, 0, 0]]], "grey value 76 found"),
        (np.arange(12).reshape(1, 12), "grey values 1, 2, 3, 4, 5, 6, 7, 8 and 3 more found"),
    ],
)
def test_a_region_of_other_colours_is_refused(tmp_path, values, message):
    path = save(tmp_path / "a.png", np.array(values, dtype=np.uint8))
    with pytest.raises(DataError, match=message) as caught:
        read_region(path)
    assert str(path) in str(caught.value)


def test_a_region_with_transparency_is_refused(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((2, 2, 4), np.uint8))
    with pytest.raises(DataError, match="mode 'RGBA' found, allowed are 1, L, P, RGB"):
        read_region(path)


def test_tensors_have_range_layout_and_type():
    image = np.zeros((2, 3, 3), dtype=np.uint8)
    image[0, 1] = (0, 51, 255)
    tensor = image_to_tensor(image)
    assert tensor.shape == (3, 2, 3)
    assert tensor.dtype == torch.float32
    torch.testing.assert_close(tensor[:, 0, 1], torch.tensor([-1.0, -0.6, 1.0]))
    labels = labels_to_tensor(np.array([[0, 65535]], dtype=np.uint16))
    assert labels.dtype == torch.int64
    assert labels.tolist() == [[0, 65535]]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_colour_named_as_transparent_is_kept(mode, tmp_path):
    picture = np.random.default_rng(0).integers(256, size=(9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(picture).convert(mode)
    first = image.getpixel((0, 0))
    image.save(tmp_path / "a.png", transparency=first)
    with Image.open(tmp_path / "a.png") as stored:
        assert "transparency" in stored.info
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.array(image.convert("RGB")))
