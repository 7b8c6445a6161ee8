import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.conversion import RECIPES
from mcltoolkit.data import ADE20K
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.inference import choose_size
from mcltoolkit.inference.inputs import check_pair, condition_fields, read_condition
from mcltoolkit.structures import Batch


def labels(*size):
    return np.zeros(size, np.uint8)


def image(*size):
    return np.zeros((*size, 3), np.uint8)


@pytest.mark.parametrize(
    ("wanted", "condition", "exemplar", "test_size", "expected"),
    [
        ((96, 32), labels(64, 64), image(64, 64), (64, 64), (96, 32)),  # what is asked for
        (None, np.zeros((5, 96, 32)), image(64, 64), (64, 64), (96, 32)),  # maps as they are
        ((96, 32), np.zeros((5, 96, 32)), image(64, 64), (64, 64), (96, 32)),
        (None, labels(32, 64), image(32, 64), (64, 64), (32, 64)),  # one size that fits
        (None, labels(64, 64), image(64, 64), None, (64, 64)),
        (None, labels(128, 64), image(128, 64), (64, 64), (64, 64)),  # larger than at test
        (None, labels(32, 64), image(64, 32), (64, 64), (64, 64)),  # of two sizes
        (None, labels(33, 64), image(33, 64), (64, 64), (64, 64)),  # the stride does not fit
    ],
)
def test_the_rule(wanted, condition, exemplar, test_size, expected):
    assert choose_size(wanted, condition, exemplar, 32, test_size)[0] == expected


def test_nothing_tells_a_size():
    with pytest.raises(ConfigError, match="40x40 and the exemplar 64x64; give --size"):
        choose_size(None, labels(40, 40), image(64, 64), 32, None)


@pytest.mark.parametrize(
    ("wanted", "condition", "exemplar", "expected"),
    [
        ((96, 32), labels(64, 64), image(64, 64), "the size asked for"),
        (None, np.zeros((5, 96, 32)), image(64, 64), "maps, which are not resized"),
        (None, labels(32, 64), image(32, 64), "is 64x96, give --size 64 96 for that"),
        (None, labels(64, 96), image(64, 96), "own size of condition and exemplar"),
        (None, labels(64, 64), image(32, 64), "the condition is 64x64 and the exemplar 32x64"),
        (None, labels(33, 64), image(33, 64), "multiples of 32, which the pictures' own 33x64"),
        (None, labels(64, 128), image(64, 128), "the pictures' own 64x128 is larger"),
    ],
)
def test_the_reason_is_told(wanted, condition, exemplar, expected):
    _, why = choose_size(wanted, condition, exemplar, 32, (64, 96))
    assert expected in why
    assert ("--size" in why) == ("--size" in expected)


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
        read_condition(array, 7, {"condition": "labels"})
    for whole in (np.uint8, np.int64, bool):
        given = np.eye(4, dtype=whole)
        assert np.array_equal(read_condition(given, 7, {"condition": "labels"}), given)


@pytest.mark.parametrize(("value", "dtype"), [(255, np.uint8), (2, np.int64), (-1, np.int8)])
def test_maps_of_whole_numbers_are_not_scaled_by_guess(tmp_path, value, dtype):
    maps = np.zeros((3, 4, 5), dtype)
    maps[1, 2, 3] = value
    np.save(tmp_path / "c.npy", maps)
    for source in (maps, tmp_path / "c.npy"):
        with pytest.raises(DataError, match=r"8-bit maps divided by 255"):
            read_condition(source, 3, {"condition": "maps"})
    as_trained = maps.astype(np.float32) / 255
    assert np.array_equal(read_condition(as_trained, 3, {"condition": "maps"}), as_trained)
    maps[1, 2, 3] = 1
    assert read_condition(maps, 3, {"condition": "maps"}).max() == 1


def test_maps_are_not_resized():
    with pytest.raises(ConfigError, match="--size 64 64 with a condition of 32 x 32 numbers"):
        choose_size((64, 64), np.zeros((5, 32, 32)), image(64, 64), 32, None)


def test_ade20k_as_a_data_set_and_as_a_condition_give_one_channel_for_a_stored_value(tmp_path):
    """0 is unknown and stays channel 0, class k channel k, as the released network was trained."""
    stored = (np.arange(96 * 80) % 151).astype(np.uint8).reshape(96, 80)
    (tmp_path / "training").mkdir()
    Image.fromarray(stored).save(tmp_path / "training" / "ADE_train_1.png")
    Image.fromarray(np.stack([stored] * 3, -1)).save(tmp_path / "training" / "ADE_train_1.jpg")
    steps = [dict(type="PILResize", height=64, width=64)]
    sample = ADE20K(tmp_path, geometry=steps, exemplar_choice="self")[0]
    settings = {"condition": RECIPES["ade20k"].labels and "labels"}
    labels = read_condition(tmp_path / "training" / "ADE_train_1.png", 151, settings)
    batch = Batch(
        names=["a"],
        exemplar=sample.exemplar[None],
        paired=torch.tensor([False]),
        **condition_fields(labels, (64, 64)),
    )
    assert torch.equal(batch.labels[0], sample.labels)
    expected = np.array(Image.fromarray(stored).resize((64, 64), Image.Resampling.NEAREST))
    one_hot = batch.with_one_hot(151).condition[0]
    assert one_hot.sum(0).eq(1).all()
    assert np.array_equal(one_hot.argmax(0).numpy(), expected)
