from __future__ import annotations

from pathlib import Path

import pytest

from mcltoolkit.data.listed import Layout, listed_records, read_split
from mcltoolkit.data.records import Picture
from mcltoolkit.errors import ConfigError, DataError


class Letters(Layout):
    """Pictures `photos/X.jpg`, named by one letter."""

    form = "single letters"

    def name(self, written):
        letter = written.removesuffix(".jpg")
        return letter if len(letter) == 1 else None

    def picture(self, name):
        return Picture(name, str(self.root / "photos" / f"{name}.jpg"), "")

    def missing(self, name):
        path = self.root / "photos" / f"{name}.jpg"
        return None if self.exists(path) else path


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in "abcdef":
        (tmp_path / "photos" / f"{name}.jpg").write_text("")
    (tmp_path / "train.txt").write_text("d\ne\n\nf\n")
    (tmp_path / "val.txt").write_bytes("c\r\na\r\n".encode("utf-8-sig"))
    (tmp_path / "ref.txt").write_text("a.jpg,d.jpg,f.jpg\nb.jpg,zz.jpg\nc.jpg,e.jpg\n")
    return tmp_path


def records(root: Path, **settings):
    return listed_records(Letters(root, ["photos"]), "validation", **settings)


def message_of(error, *parts):
    for part in parts:
        assert str(part) in str(error.value)


def test_a_split_is_read_in_the_files_order(root):
    layout = Letters(root, ["photos"])
    assert read_split(layout, "training") == {"d": 1, "e": 2, "f": 4}
    assert list(read_split(layout, "validation")) == ["c", "a"]
    assert [r.condition.name for r in records(root)] == ["c", "a"]
    assert [r.condition.name for r in records(root, max_samples=1)] == ["c"]
    assert all(r.exemplars == () and r.pair is None for r in records(root))


def test_lists_give_exemplars_and_may_hold_lines_of_others(root):
    found = records(root, exemplar_list="ref.txt")
    assert [(r.condition.name, [e.name for e in r.exemplars]) for r in found] == [
        ("c", ["e"]),
        ("a", ["d", "f"]),
    ]
    assert records(root, exemplar_list=str(root / "ref.txt")) == found, "an absolute path"
    assert records(root, exemplar_list="ref.txt", exemplar_split="training") == found


def test_an_exemplar_of_another_split_is_found_when_asked(root):
    (root / "ref.txt").write_text("c,d\na,c")
    assert len(records(root, exemplar_list="ref.txt")) == 2
    with pytest.raises(DataError) as caught:
        records(root, exemplar_list="ref.txt", exemplar_split="training")
    message_of(caught, root / "ref.txt", "line 2", "'c'", root / "train.txt", "exemplar_split=None")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a\nnope\n", ["line 2", "'nope'", "single letters"]),
        ("a\nb\na\n", ["line 3", "'a' stands in line 1 already"]),
        ("\n \n", ["is empty: 0 names"]),
        ("a\nx\ny\n", ["line 2: x needs the file", "x.jpg", "2 of 3 pictures are missing (x, y)"]),
    ],
)
def test_split_files_that_cannot_be_used(root, text, parts):
    (root / "val.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        records(root)
    message_of(caught, root / "val.txt", *parts)


def test_missing_and_binary_split_files(root):
    (root / "val.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"val\.txt cannot be read as UTF-8"):
        records(root)
    (root / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val\.txt does not exist; write .*--data-root"):
        records(root)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,d\n", ["no line for 1 of 2 pictures of split 'validation': c"]),
        ("a,d\nc,zz\n", ["line 2: exemplar 'zz' found, allowed are single letters"]),
        ("a,d\nc,x\n", ["line 2: exemplar 'x' needs the file", "x.jpg"]),
        ("aa,d\n", ["line 1: condition 'aa' found, allowed are single letters"]),
    ],
)
def test_exemplar_lists_that_do_not_fit(root, text, parts):
    (root / "ref.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        records(root, exemplar_list="ref.txt")
    message_of(caught, root / "ref.txt", *parts)


def test_settings_that_cannot_be_used(root):
    with pytest.raises(ConfigError, match=r"split is 'test'; allowed are training \(train\.txt\)"):
        listed_records(Letters(root, []), "test")
    with pytest.raises(ConfigError, match="max_samples is 0"):
        records(root, max_samples=0)
    with pytest.raises(DataError, match=r"masks does not exist; set data_root.*photos, masks"):
        Letters(root, ["photos", "masks"])
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        Letters(root / "nowhere", ["photos"])


def test_each_folder_is_listed_once(root, monkeypatch):
    import os

    asked, real = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: asked.append(path) or real(path))
    records(root, exemplar_list="ref.txt")
    assert asked == [root / "photos"]
