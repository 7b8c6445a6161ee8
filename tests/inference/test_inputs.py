import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.conversion import RECIPES
from mcltoolkit.data import ADE20K
from mcltoolkit.errors import ConfigError
from mcltoolkit.inference import choose_size
from mcltoolkit.inference.inputs import condition_fields, read_condition
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
    assert choose_size(wanted, condition, exemplar, 32, test_size) == expected


def test_nothing_tells_a_size():
    with pytest.raises(ConfigError, match="no common size that 32 divides; give --size"):
        choose_size(None, labels(40, 40), image(64, 64), 32, None)


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
