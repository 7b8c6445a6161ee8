"""Commands, numbers and files of the pages method, troubleshooting and reproducing."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mcltoolkit import cli
from mcltoolkit.ablation.published import PUBLISHED
from mcltoolkit.commands import Commands
from mcltoolkit.engine.config import load_config
from mcltoolkit.registry import CORRESPONDENCES, DISCRIMINATORS, ENCODERS, GENERATORS

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text()
    for name in ("method", "troubleshooting", "reproducing")
}
FIGURES = ROOT / "docs" / "make_figures.py"
COMMANDS = sorted(
    {
        line
        for page in PAGES.values()
        for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
    }
)


def test_no_command_is_left_out():
    assert len(COMMANDS) >= 10
    assert all(
        line.startswith(("mcltoolkit ", "python tools/", "python docs/make_", "tools/dist_train"))
        for line in COMMANDS
    )


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("mcltoolkit ")])
def test_commands_of_the_toolkit_parse(line):
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers(dest="command", action=Commands))
    assert callable(parser.parse_args(shlex.split(line)[1:]).run)


def test_tools_and_their_options_exist():
    """By the source; that each tool works as its own page says is for that page's test."""
    sources = [file.read_text() for folder in ("mcltoolkit", "tools", "docs")
               for file in (ROOT / folder).rglob("*.py")]  # fmt: skip
    for line in COMMANDS:
        words = shlex.split(line)
        named = [word for word in words if word.startswith(("tools/", "docs/", "configs/"))]
        assert all((ROOT / word).is_file() for word in named)
        for option in (word for word in words if word.startswith("--")):
            assert any(f'"{option}"' in text for text in sources), option


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_that_are_named_exist(page):
    for file in re.findall(r"(?:configs|tools|docs)/[\w/]+\.\w+", PAGES[page]):
        assert (ROOT / file).is_file(), file
    for target in re.findall(r"\]\(([^)#]+)", PAGES[page]):
        assert (ROOT / "docs" / target).is_file(), target


def test_published_numbers_are_those_of_the_supplement():
    table = PUBLISHED["supplement_table1"]
    rows = re.findall(r"^\| ((?:w/o \w+|full)) \| (.+) \|$", PAGES["reproducing"], re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(table.rows)
    for name, cells in rows:
        found = {float(n) for n in re.findall(r"\d+\.\d+", cells)}
        assert found == {value for value in table.rows[name].values() if value is not None}


def test_weights_and_parts_of_the_method_are_those_of_the_configs():
    rows = re.findall(
        r"^\| `(\w+)` \| .+ \| ([\d., ]+?)(?: \([^|]+\))? \|", PAGES["method"], re.MULTILINE
    )
    stated = {name: {float(n) for n in weights.split(",")} for name, weights in rows}
    names = ("ade20k", "celebahq_edge", "deepfashion")
    losses = [load_config(ROOT / f"configs/mclnet_{name}.py").model.losses for name in names]
    assert set(stated) == {name for found in losses for name, loss in found.items() if loss}
    for name, weights in stated.items():
        used = {found[name].weight for found in losses if found.get(name)}
        assert used == weights, name
    parts = re.findall(r"\| `(\w+)` \| [^|]+ \|$", PAGES["method"], re.MULTILINE)
    assert len(parts) == 5
    registries = (ENCODERS, CORRESPONDENCES, GENERATORS, DISCRIMINATORS)
    assert all(any(part in r.module_dict for r in registries) for part in parts)


def test_figures_are_drawn_anew(tmp_path, tiny_checkpoint):
    done = subprocess.run(
        [
            sys.executable,
            "docs/make_figures.py",
            "--checkpoint",
            tiny_checkpoint,
            "--out",
            tmp_path,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shipped = {file.name for file in (ROOT / "docs" / "pictures").iterdir()}
    named = set(re.findall(r"\]\(pictures/([\w.-]+)\)", PAGES["method"]))
    assert {file.name for file in tmp_path.iterdir()} == shipped == named
    for name in shipped:
        picture = Image.open(tmp_path / name).convert("L")
        assert picture.width > 600
        assert len(set(picture.tobytes())) > 16, "something is drawn"
    sizes = [file.stat().st_size for file in (ROOT / "docs" / "pictures").iterdir()]
    assert max(sizes) < 150_000
    assert sum(sizes) < 300_000
