import pytest

from mcltoolkit.data.picture_size import config_size, dataset_size

CROP = [dict(type="PILResize", height=286, width=286), dict(type="RandomCrop", height=64, width=96)]


@pytest.mark.parametrize(
    ("dataset", "size"),
    [
        (dict(geometry=CROP), (64, 96)),
        (dict(geometry=[*CROP, dict(type="HorizontalFlip", p=0.5)]), (64, 96)),
        (dict(geometry=[dict(type="PILResize", short_side=64)]), None),
        (dict(size=[32, 48]), (32, 48)),
        (dict(size=(128, 128), geometry=CROP), (64, 96)),  # the crop comes after the painting
        (dict(size=(128, 128), geometry=[dict(type="HorizontalFlip", p=0.5)]), (128, 128)),
        ({}, None),
    ],
)
def test_the_last_step_that_sets_both_sides_decides(dataset, size):
    assert dataset_size(dataset) == size


def test_the_first_data_set_that_tells_a_size():
    train, silent = dict(dataset=dict(geometry=CROP)), dict(dataset=dict(geometry=[]))
    assert config_size(dict(train_dataloader=train, test_dataloader=silent)) == (64, 96)
    test = dict(dataset=dict(size=(32, 32)))
    assert config_size(dict(train_dataloader=train, test_dataloader=test)) == (32, 32)
    assert config_size(dict(train_dataloader=None)) is None


def test_explanation_and_inference_tell_the_same_size(tmp_path):
    from mcltoolkit.engine.config import load_config
    from mcltoolkit.engine.explain import image_size
    from mcltoolkit.inference import inference_settings

    file = tmp_path / "config.py"
    dataset = dict(type="SyntheticScenes", size=(128, 128), geometry=CROP)
    model = dict(condition_channels=3)
    file.write_text(f"model = {model!r}\ntest_dataloader = dict(dataset={dataset!r})\n")
    config = load_config(file)
    assert image_size(config) == inference_settings(config, {})["size"] == (64, 96)
