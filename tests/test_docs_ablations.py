"""Every command and example of docs/ablations.md is tried."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcltoolkit.ablation import plan, read_matrix
from mcltoolkit.ablation.published import PUBLISHED

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "ablations.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]


@pytest.fixture
def call(tmp_path):
    """Calls a command of the page from a copy of the configs, so that nothing is left behind."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "tools").symlink_to(ROOT / "tools")

    def run(line, *more):
        words = [sys.executable, *shlex.split(line)[1:], *more]
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def test_there_is_something_to_try():
    assert len(COMMANDS) == 6
    assert all(line.startswith("python tools/ablate.py configs/ablations/") for line in COMMANDS)


def test_the_example_matrix_plans(tmp_path):
    (text,) = blocks("yaml")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "ablations" / "example.yaml"
    file.write_text(text)
    matrix = read_matrix(file)
    assert len(plan(matrix, tmp_path)) == 3 * 2 * 3
    assert matrix.published is PUBLISHED["supplement_table1"]
    for key in re.findall(r"published: (\w+)`", PAGE):
        assert key in PUBLISHED["supplement_table1"].columns


@pytest.mark.parametrize("line", COMMANDS)
def test_commands(line, call, tmp_path):
    """As they stand, but that trainings are only listed: the tool's own test trains."""
    trains = not re.search(r"--(dry-run|print|table)", line)
    said = call(line, *(["--dry-run"] if trains else []))
    if "--print" in line:
        assert len(re.findall(r"tools/(?:dist|slurm)_train\.sh", said)) == said.count("# ")
        assert said.count("--vgg-weights torchvision") == 2 * said.count("# ") * ("vgg" in line)
    elif "--table" in line:
        assert (tmp_path / "work_dirs/ablation_scenes/table.png").is_file()
        assert "| full | 0 of 3 |" in (tmp_path / "work_dirs/ablation_scenes/table.md").read_text()
    else:
        expected = 2 * 2 if "--only" in line else None
        assert expected in (None, len(said.splitlines()))
        assert all(text.startswith("to do     ") for text in said.splitlines())


def test_options_and_files_that_are_named_exist(call):
    listed = set(re.findall(r"--[a-z][a-z-]+", call("python tools/ablate.py --help")))
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert len(named) >= 12
    assert named <= listed
    for file in re.findall(r"(?:configs|tools)/[\w/]+\.\w+", PAGE):
        assert (ROOT / file).is_file(), file
