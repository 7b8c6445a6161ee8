from __future__ import annotations

import numpy as np
import pytest

from mcltoolkit.data import ExemplarChoice, read_exemplar_list
from mcltoolkit.errors import ConfigError, DataError


def written(tmp_path, text: str):
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode("utf-8-sig"))
    return path


def test_lines_are_read_in_order(tmp_path):
    path = written(tmp_path, "b.jpg,x.jpg, y.jpg\r\n\r\n  \na.jpg,z.jpg,\n")
    lines = read_exemplar_list(path)
    assert list(lines) == ["b.jpg", "a.jpg"]
    assert lines["b.jpg"].exemplars == ("x.jpg", "y.jpg")
    assert lines["a.jpg"].exemplars == ("z.jpg",)
    assert (lines["b.jpg"].number, lines["a.jpg"].number) == (1, 4)


def test_backslashes_become_slashes(tmp_path):
    lines = read_exemplar_list(written(tmp_path, "img\\W\\a.jpg,img\\W\\b.jpg"))
    assert lines["img/W/a.jpg"].exemplars == ("img/W/b.jpg",)


def test_further_lines_of_a_condition_add_exemplars(tmp_path):
    lines = read_exemplar_list(written(tmp_path, "a.jpg,x.jpg\nb.jpg,x.jpg\na.jpg,y.jpg"))
    assert lines["a.jpg"].exemplars == ("x.jpg", "y.jpg")
    assert lines["a.jpg"].number == 1


@pytest.mark.parametrize("line", ["a.jpg", "a.jpg,", ",x.jpg"])
def test_incomplete_lines_are_numbered(tmp_path, line):
    path = written(tmp_path, f"b.jpg,x.jpg\n\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_exemplar_list(path)
    for part in (str(path), "line 3", repr(line), "at least one exemplar", "complete or delete"):
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n \n\n"])
def test_an_empty_list_is_refused(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=r"is empty: 0 lines found.*exemplar_list=None") as caught:
        read_exemplar_list(path)
    assert str(path) in str(caught.value)


def test_missing_and_binary_lists_are_told_apart(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt does not exist; set exemplar_list"):
        read_exemplar_list(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"binary\.txt cannot be read as UTF-8"):
        read_exemplar_list(tmp_path / "binary.txt")


@pytest.mark.parametrize(("retrieved", "hard"), [(0.7, 0.2), (0.3, 0.5)])
def test_recipe_frequencies(retrieved, hard):
    choice, rng, draws = ExemplarChoice("recipe", retrieved, hard), np.random.default_rng(0), 8000
    picks = [choice.pick(5, rng) for _ in range(draws)]
    assert set(picks) == {None, 0, 4}
    # Four standard deviations of a share are below 0.0225 here.
    assert picks.count(None) / draws == pytest.approx(1 - retrieved, abs=0.0225)
    assert picks.count(4) / draws == pytest.approx(retrieved * hard, abs=0.0225)


def test_recipe_without_a_list_takes_the_truth():
    rng = np.random.default_rng(0)
    assert {ExemplarChoice().pick(0, rng) for _ in range(50)} == {None}


def test_first_and_self_are_fixed():
    rng = np.random.default_rng(0)
    assert {ExemplarChoice("first").pick(3, rng) for _ in range(50)} == {0}
    assert {ExemplarChoice("self").pick(3, rng) for _ in range(50)} == {None}
    with pytest.raises(ConfigError, match="no exemplar to take; set exemplar_list"):
        ExemplarChoice("first").pick(0, rng)


def test_choice_from_config():
    assert ExemplarChoice.of("first") == ExemplarChoice.of(dict(mode="first"))
    with pytest.raises(ConfigError, match=r"'frist'; allowed are recipe, first, self; did you"):
        ExemplarChoice.of("frist")
    with pytest.raises(ConfigError, match=r"retrieved is 1\.5; allowed are values 0\.\.1"):
        ExemplarChoice.of(dict(retrieved=1.5))
    with pytest.raises(ConfigError, match=r"has easy; allowed are the keys mode"):
        ExemplarChoice.of(dict(easy=1))
