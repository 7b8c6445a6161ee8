from __future__ import annotations

import numpy as np
import pytest
import yaml

from mcltoolkit.data.label_colours import (
    pack_colours,
    read_label_colours,
    starting_palette,
    unpack_colour,
)
from mcltoolkit.errors import ConfigError

GOOD = """
classes:
  - {id: 1, name: road, colour: [[128, 64, 128], [0, 0, 1]]}
  - {id: 0, name: sky, colour: [70, 130, 180]}
  - {id: 2, name: unknown, colour: [0, 0, 0], ignore: true}
"""


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        (tmp_path / "palette.yaml").write_text(text)
        return read_label_colours(tmp_path / "palette.yaml")

    return write_and_read


def test_colours_become_the_ids_that_the_file_says(read):
    palette = read(GOOD)
    assert palette.names == ("sky", "road", "unknown")
    assert palette.ignore_label == 2
    asked = [[70, 130, 180], [0, 0, 1], [128, 64, 128], [0, 0, 0], [255, 255, 255], [0, 0, 2]]
    ids, known = palette.lookup(pack_colours(np.array([asked], dtype=np.uint8)))
    assert known.tolist() == [[True, True, True, True, False, False]]
    assert ids[known].tolist() == [0, 1, 1, 2]
    assert palette.display() == [(70, 130, 180), (0, 0, 1), (0, 0, 0)]


def test_packing_and_back():
    colours = np.random.default_rng(0).integers(0, 256, (50, 3), dtype=np.uint8)
    packed = pack_colours(colours)
    assert packed.tolist() == [65536 * int(r) + 256 * int(g) + int(b) for r, g, b in colours]
    assert [unpack_colour(int(p)) for p in packed] == [tuple(c) for c in colours.tolist()]


def test_a_starting_palette_must_be_completed_and_then_works(read):
    text = starting_palette([(0x010203, 0.75, 3), (0xFF0000, 0.25, 1)])
    assert "# 75.000% of pixels, 3 files" in text
    assert "# 25.000% of pixels, 1 file\n" in text
    with pytest.raises(ConfigError, match=r"class 1: id is 'FILL_IN'; allowed are whole numbers"):
        read(text)
    for number in (0, 1):
        text = text.replace("FILL_IN", str(number), 1).replace("FILL_IN", f"thing {number}", 1)
    assert read(text).display() == [(1, 2, 3), (255, 0, 0)]
    many = starting_palette([(5, 0.1, 1)] * 10, most=3)
    assert "and 7 colours more" in many
    assert len(yaml.safe_load(many)["classes"]) == 3
    with pytest.raises(ConfigError, match="no palette to write"):
        starting_palette([])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("id: 2", "id: 1", "class 3: id 1 is taken by 'road'"),
        ("id: 2", "id: 3", r"ids \[0, 1, 3\] found, allowed are 0..2, each once; missing: \[2\]"),
        ("id: 2", "id: yes", "class 3: id is True"),
        ("[0, 0, 0]", "[0, 0, 1]", r"colour \[0, 0, 1\] belongs to 'road' already"),
        ("[0, 0, 0]", "[0, 0, 256]", r"colour is \[0, 0, 256\]; allowed is \[R, G, B\]"),
        ("[0, 0, 0]", "black", "colour is 'black'"),
        ("[0, 0, 0]", "[[0, 0]]", r"colour is \[\[0, 0\]\]"),
        ("ignore: true", "ignore: 5", "ignore is 5; allowed are true and false"),
        ("ignore: true", "ignored: true", "unknown key 'ignored'; allowed are id, name, colour"),
        ("name: sky, ", "", "needed are the keys id, name and colour"),
        ("name: sky", "name: sky, ignore: true", r"classes \[0, 2\] have 'ignore'"),
        ("classes:", "klasses:", "no list under 'classes' found"),
        ("classes:", "classes: {", "cannot be read"),
    ],
)
def test_what_is_wrong_in_a_palette_file_is_said(read, old, new, words):
    assert old in GOOD
    with pytest.raises(ConfigError, match=words) as caught:
        read(GOOD.replace(old, new, 1))
    assert "palette.yaml" in str(caught.value)


def test_a_missing_palette_file(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.yaml does not exist; correct --palette"):
        read_label_colours(tmp_path / "no.yaml")
