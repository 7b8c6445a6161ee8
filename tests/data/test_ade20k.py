from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data import ADE20K
from mcltoolkit.errors import DataError

RESIZE = [dict(type="PILResize", height=64, width=64)]


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture(params=["public", "flat"])
def root(request, tmp_path):
    rng = np.random.default_rng(0)
    names = {"training": ["t1", "t2"], "validation": ["v1", "v2", "v3"]}
    for split, listed in names.items():
        public = request.param == "public"
        images = tmp_path / "images" / split if public else tmp_path / split
        labels = tmp_path / "annotations" / split if public else tmp_path / split
        for name in listed:
            write(images / f"{name}.jpg", rng.integers(256, size=(20, 30, 3), dtype=np.uint8))
            write(labels / f"{name}.png", rng.integers(151, size=(20, 30), dtype=np.uint8))
    (tmp_path / "ref.txt").write_text("v2.jpg,t1.jpg\nv1.jpg,t2.jpg\n")
    return tmp_path


def test_classes_are_150_and_unknown(root):
    info = ADE20K(root).metainfo
    assert info["num_classes"] == len(set(info["classes"])) == len(set(info["palette"])) == 151
    assert info["ignore_label"] == 0
    named = {1: "wall", 3: "sky", 7: "road", 10: "grass", 22: "water", 150: "flag"}
    assert {k: info["classes"][k] for k in named} == named


def test_both_layouts_give_pairs(root):
    dataset = ADE20K(root)
    assert [r.condition.name for r in dataset.records] == ["t1", "t2"]
    assert dataset[0].truth.shape == (3, 20, 30)
    assert dataset[0].labels.shape == (20, 30)


def test_the_list_chooses_the_conditions_outside_training(root):
    settings = dict(split="validation", exemplar_list="ref.txt", exemplar_choice="first")
    dataset = ADE20K(root, **settings)
    assert [(s.name, s.exemplar_name) for s in (dataset[0], dataset[1])] == [
        ("v2", "t1"),
        ("v1", "t2"),
    ]
    assert len(dataset) == 2
    with pytest.raises(DataError, match="no line for 1 of 3 images of split 'validation': v3"):
        ADE20K(root, **settings, listed_only=False)


def test_a_folder_of_neither_layout(tmp_path):
    with pytest.raises(DataError) as caught:
        ADE20K(tmp_path)
    for part in ("images/training (public", f"{tmp_path}/training (flat", "--data-root"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="data_root .*nowhere is not a folder"):
        ADE20K(tmp_path / "nowhere")


def test_released_samples_are_equal_in_both_layouts(shared_data):
    settings = dict(
        split="validation",
        exemplar_list="ade20k_ref_test.txt",
        exemplar_choice="first",
        geometry=RESIZE,
    )
    public = ADE20K(shared_data / "samples" / "ade20k", **settings)
    flat = ADE20K(shared_data / "samples" / "ade20k_flat", **settings)
    assert len(public) == len(flat) == 6
    assert public.records[0].condition.name == "ADE_val_00001232"
    for one, two in ((public[i], flat[i]) for i in range(6)):
        assert (one.name, one.exemplar_name) == (two.name, two.exemplar_name)
        assert torch.equal(one.truth, two.truth)
        assert torch.equal(one.exemplar_labels, two.exemplar_labels)
        assert 0 in one.labels.unique()
        assert one.exemplar_name.startswith("ADE_train")


def test_a_released_sample_that_was_cut_off_is_named(shared_data, tmp_path):
    shutil.copytree(shared_data / "samples" / "ade20k_flat", tmp_path / "copy")
    path = next((tmp_path / "copy" / "training").glob("*.jpg"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:3000])
    dataset = ADE20K(tmp_path / "copy", geometry=RESIZE)
    index = [r.condition.name for r in dataset.records].index(path.stem)
    with pytest.raises(DataError, match="unreadable or truncated") as caught:
        dataset[index]
    assert str(path) in str(caught.value)
