"""Every template, as a user's package: written, installed, tested by its own tests, trained."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mcltoolkit.cli import main
from mcltoolkit.errors import ConfigError
from mcltoolkit.plugin_template import KINDS, new_plugin, plugin_names

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = re.compile(r"my[-_](plugin|entry|kind|term)|MyPart")


def run(*command, site, cwd):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.integration
def test_new_plugins_install_conform_and_train(tmp_path, capsys):
    """All kinds in one environment: a process each for pip, tests and list would take minutes."""
    site, folders = tmp_path / "site", []
    for kind in KINDS:
        main(["new-plugin", f"Edgy.{kind}", "--kind", kind, "--out", str(tmp_path)])
        folders.append(tmp_path / f"edgy-{kind}")
        printed = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in printed if line.startswith("  ")] == [
            "pip", "python", "python",
        ]  # fmt: skip
        for file in folders[-1].rglob("*"):
            assert file.is_dir() or not STAND_IN.search(file.read_text()), file
    run(
        "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", site,
        *folders, site=site, cwd=tmp_path,
    )  # fmt: skip
    tested = run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib",
        *(folder / "tests" for folder in folders), site=site, cwd=tmp_path,
    )  # fmt: skip
    assert int(re.search(r"(\d+) passed", tested)[1]) >= 10 * len(KINDS), tested
    listed = run("-m", "mcltoolkit.cli", "plugins", site=site, cwd=tmp_path)
    for kind in KINDS:
        part = f"Edgy{kind.capitalize()}"
        assert re.search(rf"edgy_{kind}  \(entry.*\n  \w+ +{part}\n", listed)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("Sharp_Edges", ("sharp-edges", "sharp_edges", "sharp_edges", "SharpEdgesLoss", None)),
        (
            "mcltoolkit-a.loss2",
            ("mcltoolkit-a-loss2", "mcltoolkit_a_loss2", "a_loss2", "ALoss2Loss", None),
        ),
        ("edge-loss", ("edge-loss", "edge_loss", "edge_loss", "EdgeLoss", None)),
        ("mcl", ("mcl", "mcl", "mcl", "MclLoss", "mcl_loss")),
        ("half", ("half", "half", "half", "HalfLoss", "half_loss")),
    ],
)  # fmt: skip
def test_all_names_follow_from_one(name, names):
    *first, term = names
    assert plugin_names(name, "loss") == type(plugin_names(name, "loss"))(*first, term or first[2])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "must begin with a letter"),
        ("2edges", "must begin with a letter"),
        ("sharp--edges", "single '-'"),
        ("sharp edges", "single '-'"),
        ("../edges", "single '-'"),
        ("edges-", "single '-'"),
        ("random", "is a module or word of Python's"),
        ("mcltoolkit-3d", "'3d' is no name for something in Python"),
        ("mcltoolkit-class", "'class' is no name for something in Python"),
        ("configs", "that of a part of the package"),
        ("Class", "is a module or word"),
        ("torch", "is installed"),
        ("mcltoolkit", "is installed"),
        ("cycle", "its loss would be called 'CycleLoss', which .* is there already"),
        ("loss", "its loss would be called 'Loss'"),
    ],
)
def test_names_that_cannot_be_used(name, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        new_plugin(name, "loss", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("edges").mkdir()
    with pytest.raises(ConfigError, match="edges exists already"):
        new_plugin("edges", "loss")
    assert list(Path("edges").iterdir()) == []
    with pytest.raises(ConfigError, match="kind is 'metric'; allowed are loss, encoder"):
        new_plugin("others", "metric")


def test_it_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    calls = []
    write = Path.write_text

    def fail_at_the_fifth(path, *arguments, **settings):
        calls.append(path)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        return write(path, *arguments, **settings)

    monkeypatch.setattr(Path, "write_text", fail_at_the_fifth)
    with pytest.raises(ConfigError, match=r"cannot write .*edges: No space left on device"):
        new_plugin("edges", "loss", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
