from __future__ import annotations

import pytest

from mcltoolkit.data.retrieval import Group, groups_from_file, groups_from_regex
from mcltoolkit.data.retrieval.groups import check_frames, number_groups
from mcltoolkit.errors import ConfigError, DataError

NAMES = ["v1/f10.jpg", "v1/f20.jpg", "v2/f10.jpg"]


def written(tmp_path, text):
    path = tmp_path / "groups.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_groups_from_a_file(tmp_path):
    text = 'name,group,frame\nv1/f10.jpg,one,10\nv1\\f20,one,20\n\nother.jpg,x\nv2/f10,"two, b"\n'
    found = groups_from_file(written(tmp_path, text), NAMES)
    assert found == [Group("one", 10), Group("one", 20), Group("two, b")]


def test_groups_from_names():
    assert groups_from_regex("^(.*?)/", NAMES) == [Group("v1"), Group("v1"), Group("v2")]
    assert groups_from_regex(r"(v\d)/f(\d+)", NAMES)[1] == Group("v1", 20)


def test_numbers_agree_between_sets():
    a, b = [Group("x", 5), Group("y")], [Group("y", 7), Group("z", 1), Group("x", 2)]
    assert number_groups(a, b) == [([0, 1], [5, 0]), ([1, 2, 0], [7, 1, 2])]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("v1/f10.jpg,one\nv1/f20.jpg,one\n", r"no line for 1 of 3 images: v2/f10\.jpg; add lines"),
        ("v1/f10.jpg\n", r"line 1: 'v1/f10\.jpg' found, needed is 'name,group'"),
        ("a,b,c,d\n", "line 1: 'a,b,c,d' found"),
        ("a,b,first\n", r"line 1: frame 'first' found, allowed are whole numbers"),
        ("a,b\na,c\n", "line 2: 'a' has group 'c', an earlier line gives it 'b'"),
    ],
)
def test_files_that_do_not_fit(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=words) as caught:
        groups_from_file(path, NAMES)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv cannot be read.*correct --groups"):
        groups_from_file(tmp_path / "none.csv", NAMES)


@pytest.mark.parametrize(
    ("pattern", "error", "words"),
    [
        ("(", ConfigError, r"'\(' is no regular expression"),
        ("v1", ConfigError, "has 0 brackets; needed is one around the group"),
        ("(a)(b)(c)", ConfigError, "has 3 brackets"),
        ("(v1)", DataError, r"'\(v1\)' does not match for 1 of 3 images: v2/f10\.jpg"),
        (r"(v\d)/(f\d+)", ConfigError, "takes 'f10' of 'v1/f10.jpg' as frame number"),
    ],
)
def test_patterns_that_do_not_fit(pattern, error, words):
    with pytest.raises(error, match=words):
        groups_from_regex(pattern, NAMES)


def test_a_gap_needs_frames():
    check_frames({"a": Group("x", 0)})
    with pytest.raises(ConfigError, match=r"--group-gap compares frame numbers, 1 of 2 .*\(b\)"):
        check_frames({"a": Group("x", 0), "b": Group("x")})
