import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.inference import load_model, translate


def released_picture(cocosnet, task, condition, exemplar, exemplar_condition):
    """What the plain formulas paint, from labels or maps as the released code reads them."""
    options = cocosnet.TASKS[task]
    states = cocosnet.make(**options)
    seen = cocosnet.correspond(states, options, condition, exemplar, exemplar_condition)
    return cocosnet.generate(states, seen["warped"], condition), seen["warped"]


def run(model, condition, exemplar, exemplar_condition=None, **options):
    return translate(condition, exemplar, model, exemplar_condition=exemplar_condition, **options)


def one_hot(path, channels):
    """Stored value k -> channel k, unknown 0 included."""
    labels = torch.from_numpy(np.array(Image.open(path))).long()
    return F.one_hot(labels, channels).permute(2, 0, 1)[None].float()


def test_label_files_give_the_released_picture(cocosnet, checkpoint, files):
    condition, exemplar, theirs = files()
    model = load_model(checkpoint(), "cpu")
    found = run(model, condition, exemplar, theirs)
    pixels = torch.from_numpy(np.array(Image.open(exemplar))).permute(2, 0, 1)[None]
    image, warped = released_picture(
        cocosnet, "ade20k", one_hot(condition, 7), pixels / 255 * 2 - 1, one_hot(theirs, 7)
    )
    assert ((found.prediction.fake - image).abs().max() / image.abs().max()).item() < 1e-4
    assert ((found.prediction.warped - warped).abs().max() / warped.abs().max()).item() < 1e-4


@pytest.mark.parametrize("task", ["celebahqedge", "deepfashion"])
def test_maps_give_the_released_picture(cocosnet, checkpoint, files, tmp_path, task):
    _, exemplar, _ = files()
    channels = cocosnet.TASKS[task]["channels"]
    maps = np.random.default_rng(1).random((2, channels, 64, 64), dtype=np.float32)
    for name, array in zip(("c", "ec"), maps, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    model = load_model(checkpoint(task))
    needed = tmp_path / "ec.npy" if task == "celebahqedge" else None
    found = run(model, tmp_path / "c.npy", exemplar, needed)
    pixels = torch.from_numpy(np.array(Image.open(exemplar))).permute(2, 0, 1)[None]
    image, _ = released_picture(
        cocosnet, task, torch.tensor(maps[:1]), pixels / 255 * 2 - 1, torch.tensor(maps[1:])
    )
    assert ((found.prediction.fake - image).abs().max() / image.abs().max()).item() < 1e-4


def test_glasses_over_a_part_are_given_as_maps(cocosnet, checkpoint, files, tmp_path):
    """The condition of the data set of CelebA-HQ masks, through a .npy file."""
    condition, exemplar, theirs = files(classes=6)
    model = load_model(checkpoint("celebahq"), "cpu")
    channels = model.channels
    over = one_hot(condition, channels)
    over[:, -1, 20:30] = 1
    np.save(tmp_path / "c.npy", over[0].numpy().astype(np.uint8))
    found = run(model, tmp_path / "c.npy", exemplar, theirs)
    pixels = torch.from_numpy(np.array(Image.open(exemplar))).permute(2, 0, 1)[None]
    image, _ = released_picture(
        cocosnet, "celebahq", over, pixels / 255 * 2 - 1, one_hot(theirs, channels)
    )
    assert ((found.prediction.fake - image).abs().max() / image.abs().max()).item() < 1e-4


def test_pictures_of_other_sizes_are_resized_as_at_test(cocosnet, checkpoint, files):
    condition, exemplar, theirs = files((100, 90))
    model = load_model(checkpoint(), "cpu")
    found = run(model, condition, exemplar, theirs)

    def resized(path, how):
        return np.array(Image.open(path).resize((64, 64), how))

    pixels = torch.from_numpy(resized(exemplar, Image.Resampling.BICUBIC)).permute(2, 0, 1)[None]
    maps = [
        F.one_hot(torch.from_numpy(resized(p, Image.Resampling.NEAREST)).long(), 7)
        .permute(2, 0, 1)[None]
        .float()
        for p in (condition, theirs)
    ]
    image, _ = released_picture(cocosnet, "ade20k", maps[0], pixels / 255 * 2 - 1, maps[1])
    assert ((found.prediction.fake - image).abs().max() / image.abs().max()).item() < 1e-4


def test_arrays_do_as_well_as_files(checkpoint, files):
    paths = files()
    model = load_model(checkpoint(), "cpu")
    by_path = run(model, *paths).prediction.fake
    arrays = [np.array(Image.open(path)) for path in paths]
    assert torch.equal(run(model, *arrays).prediction.fake, by_path)


def test_the_exemplar_s_condition_is_asked_for_where_it_is_mixed_in(checkpoint, files):
    condition, exemplar, _ = files()
    model = load_model(checkpoint())
    with pytest.raises(
        ConfigError, match=r"mask_mix.*label map of .*e\.png with --exemplar-condition"
    ):
        run(model, condition, exemplar)
    model = load_model(checkpoint(mask_mix=False))
    assert run(model, condition, exemplar).prediction.fake.shape == (3, 64, 64)


def test_a_picture_is_no_condition_of_a_model_that_takes_maps(checkpoint, files):
    condition, exemplar, theirs = files()
    model = load_model(checkpoint("celebahqedge"))
    with pytest.raises(DataError, match=r"takes 5 channels.*\.npy file of 5 x height x width"):
        run(model, condition, exemplar, theirs)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 64, 64)), r"condition .*float64 \(4, 64, 64\) found.*7 x height x width"),
        (np.zeros((64, 64)), "7 x height x width"),
        (np.full((7, 64, 64), np.nan), "not finite"),
        (np.array(["a"]), "7 x height x width"),
        (np.array([{}]), "cannot be read as an array of numbers"),
    ],
)
def test_arrays_that_do_not_fit(checkpoint, files, tmp_path, array, words):
    _, exemplar, theirs = files()
    np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    model = load_model(checkpoint())
    with pytest.raises(DataError, match=words):
        run(model, tmp_path / "bad.npy", exemplar, theirs)


def test_labels_beyond_the_classes(checkpoint, files, tmp_path):
    condition, exemplar, theirs = files(classes=9)
    model = load_model(checkpoint())
    with pytest.raises(DataError, match=r"allowed are 0\.\.6"):
        run(model, condition, exemplar, theirs)


def test_maps_of_another_size_than_the_translation(checkpoint, files):
    condition, exemplar, _ = files()
    model = load_model(checkpoint())
    small = np.zeros((7, 32, 32), dtype=np.float32)
    with pytest.raises(DataError, match="exemplar condition has 32 x 32 numbers"):
        run(model, condition, exemplar, small)
    with pytest.raises(DataError, match="not resized"):
        run(model, small, exemplar, small, size=(64, 64))


def test_an_exemplar_with_the_labels_of_another_picture(checkpoint, files, tmp_path):
    condition, exemplar, _ = files()
    other = tmp_path / "other.png"
    Image.fromarray(np.zeros((30, 90), np.uint8)).save(other)
    model = load_model(checkpoint())
    with pytest.raises(DataError, match=rf"{exemplar} has 64x64 .*{other} 30x90"):
        run(model, condition, exemplar, other)


def test_the_size_is_told_in_one_line(checkpoint, files):
    said = []
    run(load_model(checkpoint()), *files(size=(32, 64)), say=said.append)
    assert said == [
        "translated at 32x64: own size of the condition; the model's test size is 64x64, "
        "give --size 64 64 for that"
    ]
