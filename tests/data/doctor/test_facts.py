from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data.doctor.facts import COLOURS_KEPT, image_facts, label_facts, speckle
from mcltoolkit.data.label_colours import pack_colours


def plain_speckle(labels):
    height, width = labels.shape
    isolated = border = 0
    for i in range(height):
        for j in range(width):
            around = [
                labels[y, x]
                for y, x in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))
                if 0 <= y < height and 0 <= x < width
            ]
            isolated += all(value != labels[i, j] for value in around)
            if i + 1 < height and j + 1 < width:
                here = labels[i, j]
                border += here != labels[i + 1, j] or here != labels[i, j + 1]
    return isolated / border


def test_speckle_against_a_plain_loop():
    labels = np.random.default_rng(0).integers(0, 3, (20, 25))
    assert speckle(labels) == pytest.approx(plain_speckle(labels))


def test_speckle_of_clean_and_of_single_maps():
    assert speckle(np.zeros((30, 30))) == 0
    assert speckle(np.arange(30)[:, None].repeat(30, 1) // 3) == 0


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_values_are_counted(tmp_path, depth):
    labels = np.random.default_rng(1).integers(0, 7, (20, 30)).astype(depth) * 30
    Image.fromarray(labels).save(tmp_path / "l.png")
    facts = label_facts(tmp_path / "l.png")
    assert facts.values.tolist() == [0, 30, 60, 90, 120, 150, 180]
    assert facts.counts.tolist() == [int((labels == v).sum()) for v in facts.values]
    assert (facts.height, facts.width, facts.one_channel, facts.colours) == (20, 30, True, None)


def test_colours_are_counted_most_frequent_first_and_capped(tmp_path):
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[:10] = (9, 8, 7)
    Image.fromarray(rgb).save(tmp_path / "l.png")
    facts = label_facts(tmp_path / "l.png")
    assert facts.colours.tolist() == pack_colours(np.array([[0, 0, 0], [9, 8, 7]])).tolist()
    assert facts.colour_counts.tolist() == [1200, 400]
    assert (facts.values, facts.more_colours) == (None, False)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "l.png")
    facts = label_facts(tmp_path / "l.png")
    assert (len(facts.colours), facts.more_colours) == (COLOURS_KEPT, True)


@pytest.mark.parametrize(
    ("mode", "readable"), [("RGB", True), ("L", True), ("RGBA", False), ("CMYK", False)]
)
def test_modes(tmp_path, mode, readable):
    path = tmp_path / "i.tif"
    Image.new(mode, (20, 10)).save(path)
    facts = image_facts(path)
    assert (facts.height, facts.width, facts.mode) == (10, 20, mode)
    assert facts.readable_mode is readable


def test_broken_files_say_why(tmp_path):
    assert image_facts(tmp_path / "none.png").problem
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (90, 90), np.uint8)).save(file, "PNG")
    (tmp_path / "half.png").write_bytes(file.getvalue()[:500])
    assert "truncated" in label_facts(tmp_path / "half.png").problem
    (tmp_path / "half.png").write_bytes(b"")
    assert label_facts(tmp_path / "half.png").problem == "0 bytes"
