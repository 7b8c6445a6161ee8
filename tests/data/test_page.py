"""docs/datasets.md: its code runs, and its table and lists are those of the classes."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from mcltoolkit.data import ADE20K, CelebAHQEdges, CelebAHQMasks, DeepFashion
from mcltoolkit.data.ade20k import CLASSES as SCENES
from mcltoolkit.data.face_edges import FaceEdges
from mcltoolkit.data.face_masks import FaceMasks
from mcltoolkit.data.poses import PoseMaps
from mcltoolkit.registry import DATASETS

CHANNELS = {
    ADE20K: len(SCENES),
    CelebAHQMasks: FaceMasks().num_channels,
    CelebAHQEdges: FaceEdges().num_channels,
    DeepFashion: PoseMaps().num_channels,
}


@pytest.fixture
def page(root):
    return (root / "docs" / "datasets.md").read_text()


@pytest.fixture
def blocks(page):
    found = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(found) == 2
    return found


def test_the_table_tells_the_channels(page):
    rows = re.findall(r"^\| `(\w+)` \| [^|]+\| [^|]+\| (\d+) \|", page, re.MULTILINE)
    assert {name: int(count) for name, count in rows} == {
        kind.__name__: count for kind, count in CHANNELS.items()
    }


def test_the_channels_are_listed_in_order(page):
    text = " ".join(page.split())
    assert ", ".join(FaceEdges.channels[1:14]) in text
    plain = re.sub(r" \([a-z-]+\)", "", text)
    assert ", ".join(FaceMasks().classes) in plain
    assert '150 "flag"' in text
    assert SCENES[150] == "flag"


def test_the_config_builds(blocks, shared_data):
    space: dict = {}
    exec(blocks[0], space)
    settings = space["train_dataloader"]["dataset"]
    assert settings["exemplar_list"] == "celebahq_ref.txt", "released for training, not at hand"
    folder = shared_data / "samples" / "celebahqedge"
    dataset = DATASETS.build(settings | dict(data_root=str(folder), exemplar_list=None))
    assert dataset[0].condition.shape == (15, 256, 256)


def test_the_sheet_is_written(blocks, shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "celebahq").symlink_to(shared_data / "samples" / "celebahqedge")
    exec(blocks[1], {})
    with Image.open(tmp_path / "work_dirs" / "sheet.png") as sheet:
        assert sheet.height > 19 * 160


def test_links_and_files_exist(root, page):
    for target in re.findall(r"\]\(([^)]+)\)", page):
        assert (root / "docs" / target).exists(), target
