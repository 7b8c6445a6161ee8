"""The commands and the example of docs/checkpoints.md, on small made-up checkpoints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "checkpoints.md").read_text()


@pytest.fixture(scope="module")
def place(cocosnet, tmp_path_factory):
    """A folder with the files that the page's commands name."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "tools").symlink_to(ROOT / "tools")
    (folder / "released").mkdir()
    states = cocosnet.make(**cocosnet.TASKS["ade20k"])
    for network, label in (("generator", "G"), ("alignment", "Corr"), ("discriminator", "D")):
        torch.save(states[network], folder / "released" / f"latest_net_{label}.pth")
    labels = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64) // 8 % 7
    Image.fromarray(labels).save(folder / "condition.png")
    Image.fromarray(labels.T.copy()).save(folder / "exemplar_labels.png")
    Image.fromarray(np.stack([40 * labels] * 3, -1)).save(folder / "exemplar.jpg")
    return folder


def run(place, *command):
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": search, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_page_s_commands_and_example_work(place):
    commands = [
        line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
        for line in block.splitlines()
    ]  # fmt: skip
    assert len(commands) == 4
    said = [run(place, "bash", "-c", command) for command in commands]
    assert "carried beside the model" in said[0]
    for name in ("output.png", "warped.png"):
        assert Image.open(place / name).size == (64, 64)
    for label in ("G", "Corr", "D"):
        theirs = torch.load(place / "released" / f"latest_net_{label}.pth", weights_only=True)
        ours = torch.load(place / "folder" / f"latest_net_{label}.pth", weights_only=True)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert run(place, sys.executable, "-c", example) == "(64, 64, 3)\n"


def test_the_table_has_every_task():
    from mcltoolkit.conversion import RECIPES

    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    assert rows.keys() == RECIPES.keys()
    for task, conditions in rows.items():
        assert str(RECIPES[task].channels) in conditions
        assert ("label map" in conditions) == RECIPES[task].labels


def test_options_of_the_page_exist():
    named = set(re.findall(r"`?(--[a-z][a-z-]+)", PAGE))
    listed = ""
    for tool in ("convert_checkpoint", "translate"):
        listed += subprocess.run(
            [sys.executable, f"tools/{tool}.py", "--help"], cwd=ROOT, capture_output=True, text=True
        ).stdout
    assert named <= set(re.findall(r"--[a-z][a-z-]+", listed))
