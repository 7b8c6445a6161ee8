import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.errors import ConfigError
from mcltoolkit.inference import load_model, translate


@pytest.fixture
def model(checkpoint):
    return load_model(checkpoint(), "cpu")


@pytest.mark.parametrize("size", [(64, 64), (33, 64), (70, 51), (100, 47)])
def test_the_output_has_the_condition_s_own_size(model, files, size):
    condition, exemplar, theirs = files(size)
    result = translate(condition, exemplar, model, exemplar_condition=theirs, size="own")
    assert result.array.shape == result.warped_array.shape == (*size, 3)
    assert result.image.size == result.warped.size == size[::-1]
    assert (result.size, result.condition_size) == (size, size)
    height, width = result.prediction.fake.shape[1:]
    assert height % model.stride == width % model.stride == 0
    assert 0 <= height - size[0] < model.stride
    assert 0 <= width - size[1] < model.stride


def test_padding_is_what_a_picture_with_repeated_edges_gives(model, files):
    """Padded by hand to the next multiples of the stride, the networks see the same pixels."""
    paths = files((50, 37))
    arrays = [np.array(Image.open(path)) for path in paths]
    padded = [np.pad(a, [(0, 14), (0, 27), (0, 0)][: a.ndim], mode="edge") for a in arrays]
    condition, exemplar, theirs = arrays
    found = translate(condition, exemplar, model, exemplar_condition=theirs)
    condition, exemplar, theirs = padded
    whole = translate(condition, exemplar, model, exemplar_condition=theirs)
    assert found.size == (50, 37)
    assert whole.size == (64, 64)
    assert torch.equal(found.prediction.fake, whole.prediction.fake)
    assert np.array_equal(found.array, whole.array[:50, :37])
    assert np.array_equal(found.warped_array, whole.warped_array[:50, :37])


@pytest.mark.parametrize("task", ["celebahqedge", "deepfashion"])
def test_maps_of_any_size_are_padded_too(checkpoint, files, task):
    model = load_model(checkpoint(task), "cpu")
    maps = np.random.default_rng(0).random((2, model.channels, 40, 70), dtype=np.float32)
    needed = maps[1] if model.needs_exemplar_condition else None
    photo = np.array(Image.open(files((90, 30))[1]))
    found = translate(maps[0], photo, model, exemplar_condition=needed)
    assert found.array.shape == (40, 70, 3)
    wide = np.pad(maps, [(0, 0), (0, 0), (0, 24), (0, 26)], mode="edge")
    resized = np.array(Image.fromarray(photo).resize((70, 40), Image.Resampling.BICUBIC))
    photo = np.pad(resized, [(0, 24), (0, 26), (0, 0)], mode="edge")
    needed = wide[1] if model.needs_exemplar_condition else None
    whole = translate(wide[0], photo, model, exemplar_condition=needed)
    assert torch.equal(found.prediction.fake, whole.prediction.fake)


def test_an_exemplar_of_another_shape_is_resized_to_the_translation(model, files):
    condition, exemplar, theirs = files()
    wide = Image.open(exemplar).resize((200, 90))
    labels = np.array(Image.open(theirs).resize((200, 90), Image.Resampling.NEAREST))
    found = translate(condition, wide, model, exemplar_condition=labels)
    squeezed = wide.resize((64, 64), Image.Resampling.BICUBIC)
    small = Image.fromarray(labels).resize((64, 64), Image.Resampling.NEAREST)
    expected = translate(condition, squeezed, model, exemplar_condition=small)
    assert found.size == (64, 64)
    assert torch.equal(found.prediction.fake, expected.prediction.fake)


def test_the_picture_at_the_condition_s_size(model, files):
    """Larger than at test, it is translated at the test size and can be resized back."""
    condition, exemplar, theirs = files((100, 90))
    result = translate(condition, exemplar, model, exemplar_condition=theirs)
    assert (result.size, result.condition_size) == ((64, 64), (100, 90))
    assert result.image.size == (64, 64)
    back = result.at_condition_size()
    expected = result.image.resize((90, 100), Image.Resampling.BICUBIC)
    assert np.array_equal(back, np.array(expected))
    own = translate(condition, exemplar, model, exemplar_condition=theirs, size="own")
    assert np.array_equal(own.at_condition_size(), own.array)


def test_a_size_that_is_none(model, files):
    condition, exemplar, theirs = files()
    with pytest.raises(ConfigError, match="size is 'huge'; allowed are height and width"):
        translate(condition, exemplar, model, exemplar_condition=theirs, size="huge")
