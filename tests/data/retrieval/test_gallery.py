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


def test_a_names_file_takes_some_pictures(photo_folder, tmp_path):
    images = photo_folder("images", {"7.jpg": 0, "12.jpg": 1, "deep/a.png": 2, "twin.jpg": 3})
    Image.new("RGB", (8, 8)).save(images / "twin.png")  # would be refused if it were taken
    labels = photo_folder("labels", {"7.png": 0, "12.png": 1, "deep/a.png": 2, "x.png": 3})
    file = tmp_path / "names.txt"
    file.write_bytes("deep\\a.png\r\n\r\n7\r\n7.jpg\r\n".encode("utf-8-sig"))
    gallery = find_gallery(images, labels, names_file=file)
    assert gallery.names == ("7.jpg", "deep/a.png")
    assert gallery.labels == (labels / "7.png", labels / "deep" / "a.png")
    file.write_text("twin")
    with pytest.raises(DataError, match=r"twin\.jpg and twin\.png .*same name"):
        find_gallery(images, names_file=file)


def test_names_without_a_picture(photo_folder, tmp_path):
    images, file = photo_folder("images", {"7.jpg": 0}), tmp_path / "names.txt"
    file.write_text("7\n007\n\n" + "".join(f"img/{n}.jpg\n" for n in range(7)))
    with pytest.raises(DataError) as caught:
        find_gallery(images, names_file=file)
    words = f"{file}: 8 of 9 names have no image in {images}: line 2: 007, line 4: img/0.jpg, "
    assert words in str(caught.value)
    assert ", ... 3 more; needed are paths below this folder, such as 7.jpg" in str(caught.value)
    file.write_text("\n")
    with pytest.raises(DataError, match=r"names\.txt is empty; write one name a line"):
        find_gallery(images, names_file=file)
    with pytest.raises(DataError, match=r"none\.txt cannot be read .*correct --names"):
        find_gallery(images, names_file=tmp_path / "none.txt")
