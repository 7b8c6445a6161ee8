from __future__ import annotations

import pytest
from PIL import Image

from mcltoolkit.data.retrieval import dataset_folders, find_gallery
from mcltoolkit.errors import ConfigError, DataError


def test_images_in_subfolders_and_their_labels(photo_folder):
    images = photo_folder("images", {"b.png": 0, "deep/a.jpg": 1, "a.PNG": 2})
    (images / "notes.txt").write_text("no image")
    (images / ".hidden.png").write_text("no image")
    labels = photo_folder("labels", {"b.png": 0, "deep/a.png": 1, "a.png": 2})
    gallery = find_gallery(images, labels)
    assert gallery.names == ("a.PNG", "b.png", "deep/a.jpg")
    assert gallery.images[2] == images / "deep" / "a.jpg"
    assert gallery.labels == (labels / "a.png", labels / "b.png", labels / "deep" / "a.png")
    assert find_gallery(images).labels is None


def test_one_folder_for_images_and_labels(photo_folder):
    folder = photo_folder("flat", {"a.jpg": 0, "a.png": 1, "b.jpg": 2, "b.png": 3})
    gallery = find_gallery(folder, folder)
    assert gallery.names == ("a.jpg", "b.jpg")
    assert gallery.labels == (folder / "a.png", folder / "b.png")


def test_layouts_of_a_data_root(photo_folder, tmp_path):
    photo_folder("public/images/training", {"a.jpg": 0})
    photo_folder("flat/training", {"a.jpg": 0})
    public, flat = tmp_path / "public", tmp_path / "flat"
    assert dataset_folders(public, "training") == (
        public / "images" / "training",
        public / "annotations" / "training",
    )
    assert dataset_folders(flat, "training") == (flat / "training", flat / "training")
    with pytest.raises(ConfigError, match=r"'test' is neither at .*images/test nor at .*flat/test"):
        dataset_folders(flat, "test")


def test_folders_that_cannot_be_used(photo_folder, tmp_path):
    with pytest.raises(DataError, match=r"folder of images .*none does not exist"):
        find_gallery(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no image; allowed are \.jpg"):
        find_gallery(tmp_path / "empty")
    twins = photo_folder("twins", {"a.jpg": 0, "a.png": 1})
    with pytest.raises(DataError, match=r"a\.jpg and a\.png in .*twins have the same name"):
        find_gallery(twins)


@pytest.mark.parametrize("name", ["a,b.png", "a\\b.png", " a.png"])
def test_names_that_a_list_cannot_hold(photo_folder, name):
    folder = photo_folder("odd", {"fine.png": 0})
    Image.new("RGB", (8, 8)).save(folder / name)
    with pytest.raises(DataError, match="1 images in .* have names that an exemplar list cannot"):
        find_gallery(folder)


def test_pairs_that_are_incomplete(photo_folder):
    images = photo_folder("images", {f"{n}.jpg": n for n in range(7)})
    labels = photo_folder("labels", {"0.png": 0, "x.png": 1})
    with pytest.raises(DataError, match=r"6 of 7 images .*no label map in .*: 1\.png, 2\.png.*1 m"):
        find_gallery(images, labels)
    photo_folder("labels", {f"{n}.png": n for n in range(7)})
    with pytest.raises(DataError, match=r"1 of 8 label maps in .* have no image in .*: x\.png"):
        find_gallery(images, labels)
