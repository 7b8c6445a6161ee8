from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import FolderDataset
from mcltoolkit.data.doctor import examine, plan_of_folder
from mcltoolkit.data.label_colours import read_label_colours
from mcltoolkit.errors import ConfigError

from .conftest import CLASSES, COLOURS

PALETTE = "classes:\n" + "\n".join(
    f"  - {{id: {k}, name: {name}, colour: {COLOURS[k].tolist()}}}"
    for k, name in enumerate(CLASSES)
)


@pytest.fixture
def coloured(clean_set):
    """The clean set with RGB label maps; its class numbers by path."""
    stored = {}
    for path in clean_set.glob("annotations/*/*.png"):
        stored[path] = np.array(Image.open(path))
        Image.fromarray(COLOURS[stored[path]]).save(path)
    return clean_set, stored


@pytest.fixture
def palette(tmp_path):
    (tmp_path / "palette.yaml").write_text(PALETTE)
    return read_label_colours(tmp_path / "palette.yaml")


def look(root, palette, convert_to=None):
    return examine(plan_of_folder(root), palette=palette, convert_to=convert_to, size=(64, None))[0]


def test_colours_are_converted_and_then_there_is_nothing_to_find(coloured, palette):
    root, stored = coloured
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    diagnosis = look(root, palette, root / "annotations_ids")
    assert diagnosis.findings == ()
    for path, labels in stored.items():
        new = root / "annotations_ids" / path.parent.name / path.name
        with Image.open(new) as image:
            assert image.mode == "L"
            assert np.array_equal(np.array(image), labels)
        assert path.read_bytes() == before[path]
    assert not list(root.rglob("*.tmp"))
    dataset = FolderDataset(root, annotations="annotations_ids/{split}")
    assert sorted(set(dataset[0].labels.unique().tolist())) == [0, 1, 2, 3]


def test_without_conversion_the_colours_are_counted_but_remain_an_error(coloured, palette):
    root, stored = coloured
    diagnosis = look(root, palette)
    assert [f.code for f in diagnosis.findings] == ["label-colours"]
    assert diagnosis.findings[0].count == 9
    everything = np.concatenate([labels.ravel() for labels in stored.values()])
    shares = [float((everything == k).mean()) for k in range(4)]
    assert [share.pixels for share in diagnosis.classes] == pytest.approx(shares)
    assert [share.images for share in diagnosis.classes] == [1.0] * 4


def test_an_unknown_colour_is_listed_and_nothing_is_written(coloured, palette):
    root, _ = coloured
    path = root / "annotations" / "training" / "b.png"
    rgb = np.array(Image.open(path))
    rgb[20:23, 20:24] = (1, 2, 3)
    Image.fromarray(rgb).save(path)
    diagnosis = look(root, palette, root / "new")
    by_code = {f.code: f for f in diagnosis.findings}
    assert set(by_code) == {"unknown-colour", "label-colours"}
    assert by_code["unknown-colour"].files == (
        "[1, 2, 3]: 12 pixels in 1 file, first annotations/training/b.png",
    )
    assert not (root / "new").exists()


def test_grey_maps_and_palette_files_go_by_their_colours(clean_set, palette, tmp_path):
    """Grey 0, 80, 160, 240 in one channel, and indices in an order of their own."""
    rows = [f"  - {{id: {k}, name: n{k}, colour: {[80 * k] * 3}}}" for k in range(4)]
    (tmp_path / "grey.yaml").write_text("classes:\n" + "\n".join(rows))
    (clean_set / "classes.txt").unlink()
    stored = {}
    for number, path in enumerate(sorted(clean_set.glob("annotations/*/*.png"))):
        stored[path] = np.array(Image.open(path))
        if number % 2:
            image = Image.fromarray(stored[path] * 80)
        else:
            image = Image.fromarray(3 - stored[path])
            image.putpalette([240] * 3 + [160] * 3 + [80] * 3 + [0] * 3)
            assert image.mode == "P"
        image.save(path)
    look(clean_set, read_label_colours(tmp_path / "grey.yaml"), clean_set / "ids")
    for path, labels in stored.items():
        new = np.array(Image.open(clean_set / "ids" / path.parent.name / path.name))
        assert np.array_equal(new, labels)


def test_what_is_there_is_never_overwritten(coloured, palette):
    root, _ = coloured
    for place in (root / "annotations" / "training", root / "annotations", root, root / "images"):
        with pytest.raises(ConfigError, match="holds files of the data set"):
            look(root, palette, place)
    (root / "ids" / "test").mkdir(parents=True)
    (root / "ids" / "test" / "x.png").write_text("mine")
    with pytest.raises(ConfigError, match="1 files exist already, first .*x.png"):
        look(root, palette, root / "ids")
    assert (root / "ids" / "test" / "x.png").read_text() == "mine"
    assert not (root / "ids" / "training").exists()


def test_the_colours_found_are_named_with_their_shares(coloured):
    root, stored = coloured
    diagnosis, _ = examine(plan_of_folder(root), size=(64, None))
    (finding,) = diagnosis.findings
    assert finding.code == "label-colours"
    everything = np.concatenate([labels.ravel() for labels in stored.values()])
    first = int(np.bincount(everything).argmax())
    share = (everything == first).mean()
    assert f"class numbers: {COLOURS[first].tolist()} {share:.1%}, " in finding.what
