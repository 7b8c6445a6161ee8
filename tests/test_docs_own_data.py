"""The commands of docs/own-data.md, one after the other, on a made-up folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data.doctor.findings import CODES

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "own-data.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.split("\n")
]
(PALETTE,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COLOURS = np.array([(70, 130, 180), (70, 70, 70), (244, 35, 232), (0, 0, 142), (0, 0, 0)], np.uint8)


@pytest.fixture
def street(tmp_path):
    """RGB label maps with the page's colours; photos of the same, with noise."""
    rng = np.random.default_rng(0)
    root = tmp_path / "data" / "street"
    for split, count in (("training", 5), ("test", 2)):
        for number in range(count):
            field = Image.fromarray(rng.integers(0, 5, (5, 6), dtype=np.uint8))
            labels = np.array(field.resize((96, 80), Image.Resampling.NEAREST))
            labels[:8, :40] = np.arange(5).repeat(8)
            noise = [
                np.array(
                    Image.fromarray(rng.normal(0, 30, (n, n)).astype(np.float32)).resize((96, 80))
                )
                for n in (5, 9, 20, 40)
            ]
            photo = (COLOURS[labels] + sum(noise)[..., None]).clip(0, 255).astype(np.uint8)
            for kind, picture, suffix in (
                ("images", photo, "jpg"),
                ("annotations", COLOURS[labels], "png"),
            ):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(root / kind / split / f"{split}{number}.{suffix}")
    return root


@pytest.mark.integration
def test_the_page_from_the_first_command_to_the_last(street, tmp_path):
    def run(line, status):
        words = [sys.executable, *shlex.split(line)[1:]]
        done = subprocess.run(
            [str(ROOT / word) if word.startswith("tools/") else word for word in words],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                "CUDA_VISIBLE_DEVICES": "",
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    check, start, convert, train, test, again = [line for line in COMMANDS if line]
    assert "label-colours" in run(check, 1)
    assert "label-colours" in run(start, 1)
    written = (tmp_path / "street_palette.yaml").read_text()
    assert written.count("id: FILL_IN") == 5
    assert all(str(colour) in written for colour in COLOURS.tolist())
    run(convert, 2)  # a palette that nobody completed
    (tmp_path / "street_palette.yaml").write_text(PALETTE)
    said = run(f"{convert} --json report.json", 0)
    assert "wrote street.py" in said
    assert "no-exemplar-list" in said
    run(f"{train} --cfg-options train_cfg.max_iters=2", 0)
    checkpoint = tmp_path / "work_dirs" / "street" / "iter_2.pth"
    assert torch.load(checkpoint, weights_only=True)["meta"]["iter"] == 2
    run(test.replace("iter_2000", "iter_2"), 0)
    assert (tmp_path / "work_dirs" / "street" / "test" / "report.html").is_file()
    run(again, 0)


def test_the_page_names_every_finding_and_option():
    (table,) = re.findall(r"\| finding \|.*?\n\n", PAGE, re.DOTALL)
    listed = re.findall(r"`([a-z-]+)`", table)
    assert sorted(listed) == sorted(CODES)
    done = subprocess.run(
        [sys.executable, "tools/check_dataset.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    known = set(re.findall(r"--[a-z][a-z-]*", done.stdout))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE))
    assert len(named) >= 8
    assert named <= known
