import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data.palette import class_palette
from mcltoolkit.data.scenes import SyntheticScenes
from mcltoolkit.errors import DataError
from mcltoolkit.web import examples
from mcltoolkit.web.examples import (
    condition_examples,
    exemplar_examples,
    has_scene_classes,
    scene_examples,
)


def test_scenes_are_the_test_scenes(plain_model):
    assert has_scene_classes(plain_model)
    conditions, exemplars = scene_examples(plain_model, (32, 48), 3)
    scenes = SyntheticScenes("test", length=3, size=(32, 48))
    for k in range(3):
        np.testing.assert_array_equal(conditions[k].condition, scenes[k].labels.numpy())
        np.testing.assert_array_equal(exemplars[k].condition, scenes[k].exemplar_labels.numpy())
        image = torch.from_numpy(exemplars[k].picture).permute(2, 0, 1) / 127.5 - 1
        torch.testing.assert_close(image, scenes[k].exemplar, atol=0.5 / 127, rtol=0)
        painted = np.array(class_palette(6), np.uint8)[conditions[k].condition]
        np.testing.assert_array_equal(conditions[k].picture, painted)


def test_other_models_get_no_scenes(maps_model, plain_model):
    assert not has_scene_classes(maps_model)
    from dataclasses import replace

    assert not has_scene_classes(replace(plain_model, classes=tuple("abcdef")))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "labels").mkdir()
    made = {}
    for name in ("b", "a", "c"):
        photo = rng.integers(256, size=(10, 12, 3), dtype=np.uint8)
        labels = rng.integers(6, size=(10, 12)).astype(np.uint8)
        Image.fromarray(photo).save(tmp_path / f"{name}.png")
        if name != "c":
            Image.fromarray(labels).save(tmp_path / "labels" / f"{name}.png")
        made[name] = photo, labels
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path, made


def test_exemplars_come_with_their_label_maps(folder, plain_model):
    path, made = folder
    found = exemplar_examples(path, plain_model)
    assert [example.name for example in found] == ["a", "b", "c"]
    for example in found:
        np.testing.assert_array_equal(example.picture, made[example.name][0])
    np.testing.assert_array_equal(found[1].condition, made["b"][1])
    assert found[2].condition is None


def test_label_maps_of_a_data_set_and_elsewhere(folder, plain_model, tmp_path):
    path, made = folder
    (tmp_path / "images" / "set").mkdir(parents=True)
    (tmp_path / "annotations").mkdir()
    (path / "b.png").rename(tmp_path / "images" / "set" / "b.png")
    (path / "labels").rename(tmp_path / "annotations" / "set")
    (found,) = exemplar_examples(tmp_path / "images" / "set", plain_model)
    np.testing.assert_array_equal(found.condition, made["b"][1])
    elsewhere = exemplar_examples(path, plain_model, tmp_path / "annotations" / "set")
    assert [example.name for example in elsewhere] == ["a", "c"]
    np.testing.assert_array_equal(elsewhere[0].condition, made["a"][1])
    with pytest.raises(DataError, match="--exemplar-labels .*nowhere is no folder"):
        exemplar_examples(path, plain_model, tmp_path / "nowhere")


def test_conditions_of_a_folder(folder, plain_model, maps_model, tmp_path):
    found = condition_examples(folder[0] / "labels", plain_model)
    np.testing.assert_array_equal(found[0].condition, folder[1]["a"][1])
    maps = np.random.default_rng(0).random((4, 16, 24), np.float32)
    np.save(tmp_path / "pose.npy", maps)
    (only,) = condition_examples(tmp_path, maps_model)
    np.testing.assert_array_equal(only.condition, maps)
    assert only.picture.shape == (16, 24, 3)


def test_folders_that_give_nothing_are_explained(folder, plain_model, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="--exemplars .*nowhere is no folder"):
        exemplar_examples(tmp_path / "nowhere", plain_model)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file that ends in .png, .jpg"):
        condition_examples(tmp_path / "empty", plain_model)
    with pytest.raises(DataError, match=r"label map a\.png"):
        condition_examples(folder[0], plain_model)
    said = []
    monkeypatch.setattr(examples, "MOST", 2)
    assert len(exemplar_examples(folder[0], plain_model, say=said.append)) == 2
    assert "the first 2 of 3 files" in said[0]
