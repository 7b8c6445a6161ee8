from pathlib import Path

import pytest

from mcltoolkit.errors import DataError
from mcltoolkit.inference.pairing import listed, theirs


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Writes empty files, by name; the current folder is that of them."""
    monkeypatch.chdir(tmp_path)

    def write(*names):
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    write("photos/summer/1.png", "photos/winter/1.png", "photos/2.png")
    return write


def exemplar_of(condition, *lines, count=1):
    Path("list.txt").write_text("\n".join(lines))
    (found,) = listed([Path(condition)], "list.txt", Path("photos"), count)
    return [path.relative_to("photos").as_posix() for path in found]


def test_a_line_is_found_by_what_the_condition_s_path_ends_in(here):
    lines = ["x/a.jpg,summer/1.png", "y/a.jpg,winter/1.png"]
    assert exemplar_of("x/a.png", *lines) == ["summer/1.png"]
    assert exemplar_of("y/a.png", *lines) == ["winter/1.png"]
    lines = ["a.png,summer/1.png", "a.jpg,winter/1.png"]
    assert exemplar_of("c/a.png", *lines) == ["summer/1.png"]
    assert exemplar_of("c/a.jpg", *lines) == ["winter/1.png"]
    assert exemplar_of("c/a.npy", "z/a.png,2.png") == ["2.png"]


def test_two_lines_that_fit_equally_are_refused_where_their_exemplars_differ(here):
    lines = ["b.jpg,2.png", "x/a.jpg,summer/1.png,2.png", "y/a.jpg,winter/1.png"]
    with pytest.raises(
        DataError, match=r"lines 2 and 3: x/a\.jpg and y/a\.jpg both fit .*c/a\.png"
    ):
        exemplar_of("c/a.png", *lines)
    assert exemplar_of("c/b.png", *lines) == ["2.png"], "which is not asked for does not matter"
    same = ["x/a.jpg,2.png,summer/1.png", "y/a.jpg,2.png,winter/1.png"]
    assert exemplar_of("c/a.png", *same) == ["2.png"]
    with pytest.raises(DataError, match="exemplars differ"):
        exemplar_of("c/a.png", *same, count=2)


def test_conditions_lie_as_their_exemplars_do(here):
    here("labels/summer/1.png", "labels/winter/1.npy", "labels/2.png", "labels/1.png")
    photos = [Path("photos", name) for name in ("winter/1.png", "2.png", "summer/1.png")]
    found = theirs([*photos, photos[0]], Path("photos"), Path("labels"), "labels")
    expected = ["winter/1.npy", "2.png", "summer/1.png", "winter/1.npy"]
    assert found == [Path("labels", name) for name in expected]


def test_no_condition_serves_two_exemplars(here):
    here("labels/1.png", "labels/2.png")
    summer, winter = Path("photos/summer/1.png"), Path("photos/winter/1.png")
    for base in (Path("photos"), None):
        assert (
            theirs([summer, summer], base, Path("labels"), "labels") == [Path("labels/1.png")] * 2
        )
        with pytest.raises(
            DataError, match=r"labels/1\.png .* two exemplars, .*summer.* and .*winter"
        ):
            theirs([summer, winter], base, Path("labels"), "labels")
    here("labels/winter/1.png")
    found = theirs([summer, winter], Path("photos"), Path("labels"), "labels")
    assert found == [Path("labels/1.png"), Path("labels/winter/1.png")]
