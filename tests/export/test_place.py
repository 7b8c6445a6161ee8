"""Which folders an export replaces, and what is left of one that fails."""

import json
import os
import shutil

import pytest

from mcltoolkit.errors import ConfigError
from mcltoolkit.export import export_model, folder, place

PLAIN = ("torch-export",)


@pytest.fixture
def export(checkpoints, quick):
    def make(out, **settings):
        return export_model(checkpoints["scenes"], out, PLAIN, **settings)

    return make


def everything(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_an_export_is_replaced_when_asked(export, tmp_path):
    out = tmp_path / "deep" / "out"
    export(out, name="first")
    with pytest.raises(ConfigError, match=r"exists already; add --overwrite"):
        export(out)
    (out / "model.pt2").write_bytes(b"of before")
    export(out, name="second", overwrite=True)
    assert everything(out).keys() == {"README.md", "io.json", "model.pt2"}
    assert (out / "model.pt2").read_bytes() == b"made"
    assert "# second\n" in (out / "README.md").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["out"]


OURS = {"format": 1, "toolkit": "mcltoolkit 1.0", "files": {"onnx": {"files": {"model.onnx": {}}}}}


@pytest.mark.parametrize(
    ("io", "others", "why"),
    [
        (None, ["notes.txt"], "it has no io.json"),
        ("{", [], "io.json cannot be read"),
        (json.dumps({"not": "ours"}), [], "another program or format"),
        (json.dumps(OURS | {"format": 2}), [], "another program or format"),
        (json.dumps(OURS | {"toolkit": "other 1"}), [], "another program or format"),
        (json.dumps(OURS | {"files": ["model.onnx"]}), [], "another program or format"),
        (json.dumps(OURS), ["model.onnx", "thesis.txt"], "also has thesis.txt, of which"),
        (json.dumps(OURS), ["model.onnx/mine"], "also has model.onnx, of which"),
    ],
)
def test_any_other_folder_stays(export, tmp_path, io, others, why):
    out = tmp_path / "own"
    out.mkdir()
    if io is not None:
        (out / "io.json").write_text(io)
    for name in others:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match=rf"own exists already; it is no export .*{why}"):
        export(out, overwrite=True)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("what", ["checkpoint", "metrics file"])
def test_a_folder_around_what_is_exported_stays(checkpoints, tmp_path, quick, what):
    """Even where an export's io.json lists a file of that name."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "io.json").write_text(json.dumps(OURS))
    shutil.copy(checkpoints["scenes"], out / "model.onnx")
    (tmp_path / "link").symlink_to(out / "model.onnx")
    given = {"checkpoint": checkpoints["scenes"], "metrics": None}
    given["checkpoint" if what == "checkpoint" else "metrics"] = tmp_path / "link"
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match=rf"the {what} .*link lies in .*--out another"):
        export_model(out=out, formats=PLAIN, overwrite=True, **given)
    assert everything(tmp_path) == before


def test_the_old_export_comes_back_where_the_new_one_cannot_take_its_name(
    export, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    export(out, name="first")
    before, replace = everything(tmp_path), os.replace

    def failing(source, target):
        if str(source).endswith(".tmp") and target == out:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(place.os, "replace", failing)
    with pytest.raises(ConfigError, match="cannot write .*out: Input/output error"):
        export(out, name="second", overwrite=True)
    assert everything(tmp_path) == before


def test_a_deviation_leaves_nothing(export, tmp_path, monkeypatch):
    def deviating(*given):
        raise ConfigError("gives other outputs")

    monkeypatch.setattr(folder, "deviations", deviating)
    with pytest.raises(ConfigError, match="gives other outputs"):
        export(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_work(monkeypatch):
    def work(*given, **more):
        raise AssertionError("nothing may be read before the place is checked")

    monkeypatch.setattr(folder, "load_model", work)


def test_places_that_cannot_be_replaced_as_a_whole_are_refused_first(
    export, no_work, tmp_path, monkeypatch
):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for name, target in (("link", "real"), ("broken", "nowhere")):
        with pytest.raises(ConfigError, match=rf"{name} is a link to .*{target}, .*another one"):
            export(tmp_path / name)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="file exists already; it is no folder"):
        export(tmp_path / "file", overwrite=True)
    monkeypatch.chdir(tmp_path / "real")
    for here in (".", "..", "../link/.."):
        with pytest.raises(ConfigError, match=r"the folder you are in.*--out .*real/exported"):
            export(here)
    assert list((tmp_path / "real").iterdir()) == []


def test_a_relative_place_and_an_empty_folder_are_taken(export, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for out in ("empty", "a/../b", "c/"):
        export(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c", "empty"]
    assert all((path / "model.pt2").exists() for path in tmp_path.iterdir())


def test_a_failed_export_removes_the_folders_that_it_made_and_no_others(
    export, tmp_path, monkeypatch
):
    def failing(*given):
        (tmp_path / "kept" / "by-others" / "new").mkdir(parents=True)
        raise ConfigError("gives other outputs")

    (tmp_path / "there").mkdir()
    monkeypatch.setattr(folder, "deviations", failing)
    for out in ("there/a/b/out", "kept/by-others/out"):
        with pytest.raises(ConfigError, match="gives other outputs"):
            export(tmp_path / out)
        shutil.rmtree(tmp_path / "kept" / "by-others" / "new")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert found == {"there", "kept", "kept/by-others"}


def test_a_place_that_cannot_be_written_is_noticed_before_the_capture(
    export, tmp_path, monkeypatch
):
    def capture(*given):
        raise AssertionError("too late")

    monkeypatch.setattr(folder, "capture", capture)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match=r"cannot write .*out: Not a directory"):
        export(tmp_path / "file" / "deep" / "out")
    assert (tmp_path / "file").read_text() == "mine"
