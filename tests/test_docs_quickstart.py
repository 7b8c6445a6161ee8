"""The commands of docs/quickstart.md, one after the other, on a made-up folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcltoolkit import cli
from mcltoolkit.commands import Commands

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "quickstart.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
SMALL = (
    "train_cfg.max_iters=2 train_dataloader.batch_size=2 train_dataloader.num_workers=0 "
    "train_dataloader.persistent_workers=False model.generator.base_width=4 "
    "model.discriminator.base_width=4 default_hooks.logger.interval=1"
)


def parser():
    import argparse

    made = argparse.ArgumentParser()
    commands = made.add_subparsers(dest="command", action=Commands)
    cli.add_commands(commands)
    return made


def test_no_command_is_left_out():
    starts = ("bash tools/demo.sh", "source ", "pip install ", "mcltoolkit ", "python tools/")
    assert len(COMMANDS) == 13
    assert all(line.startswith(starts) for line in COMMANDS)
    extras = re.findall(r"\.\[(\w+)\]", PAGE)
    assert extras
    setup = (ROOT / "setup.py").read_text()
    assert all(f'"{extra}":' in setup for extra in extras)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("mcltoolkit ")])
def test_commands_of_the_toolkit_parse(line):
    assert callable(parser().parse_args(shlex.split(line)[1:]).run)


@pytest.fixture
def place(tmp_path):
    """data/street of the page, and the files of one translation."""
    random = np.random.default_rng(0)

    def scene(folder, name, at):
        field = Image.fromarray(random.integers(0, 4, (5, 6), dtype=np.uint8))
        labels = np.array(field.resize((96, 80), Image.Resampling.NEAREST))
        labels[:8, :48] = np.arange(4).repeat(12)
        noise = sum(
            np.array(Image.fromarray(random.normal(0, 30, (n, n)).astype("f4")).resize((96, 80)))
            for n in (5, 9, 20, 40)
        )
        photo = (60 * labels + 30 + noise)[..., None] + 9 * np.arange(3)
        photo = photo.clip(0, 255)
        for kind, picture, suffix in at:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            values = labels if picture == "labels" else photo.astype(np.uint8)
            Image.fromarray(values).save(folder / kind / f"{name}{suffix}")

    for split, count in (("training", 6), ("test", 2)):
        for number in range(count):
            at = (f"images/{split}", "photo", ".jpg"), (f"annotations/{split}", "labels", ".png")
            scene(tmp_path / "data" / "street", f"{split}{number}", at)
    scene(tmp_path, "new_layout", ((".", "labels", ".png"),))
    scene(tmp_path, "new_photo", ((".", "photo", ".jpg"), (".", "labels", "_labels.png")))
    return tmp_path


@pytest.mark.integration
def test_from_a_folder_to_a_translated_picture(place):
    settings = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip

    def run(*words):
        done = subprocess.run(words, cwd=place, env=settings, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    tools = [line for line in COMMANDS if line.startswith("python tools/")]
    assert len(tools) == 6
    for line in tools:
        words = [sys.executable, *shlex.split(line.replace("iter_2000", "iter_2"))[1:]]
        words[1] = str(ROOT / words[1])
        small = ["--cfg-options", *SMALL.split()] if "train.py" in line or "test.py" in line else []
        run(*words, *small)
    assert "exemplars_training.txt" in (place / "street.py").read_text()
    assert (place / "work_dirs/street/test/report.html").is_file()
    (translate,) = [line for line in COMMANDS if line.startswith("mcltoolkit translate")]
    run(sys.executable, "-m", "mcltoolkit.cli", *shlex.split(
        translate.replace("iter_2000", "iter_2"))[1:])  # fmt: skip
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    run(sys.executable, "-c", example.replace("iter_2000", "iter_2"))
    painted, again = (
        np.array(Image.open(place / name)) for name in ("painted.png", "painted_again.png")
    )
    assert painted.shape == (64, 80, 3), "the test size of the model"
    assert np.array_equal(painted, again)
