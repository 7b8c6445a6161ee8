"""tools/check_dataset.py: statuses, files written, several processes."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.integration


@pytest.fixture
def noisy_set(tmp_path):
    """Two classes, four pictures of noise, one label map with a wrong value."""
    rng = np.random.default_rng(0)
    root = tmp_path / "noise"
    for split in ("training", "test"):
        for kind in ("images", "annotations"):
            (root / kind / split).mkdir(parents=True)
        for name in "ab":
            blocks = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
            labels = rng.integers(0, 2, (8, 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(blocks).save(root / "images" / split / f"{name}.png")
            Image.fromarray(labels).save(root / "annotations" / split / f"{name}.png")
    labels[:5, :5] = 7
    Image.fromarray(labels).save(root / "annotations" / "test" / "b.png")
    return root


def test_statuses_and_files(tool, noisy_set, tmp_path):
    def check(*options, ok=False):
        return tool(sys.executable, "tools/check_dataset.py", *options, ok=ok)

    report, config = tmp_path / "report.json", tmp_path / "own.py"
    options = ("--json", report, "--config-out", config, "--workers", "2")
    done = check(noisy_set, "--num-classes", "2", *options)
    assert done.returncode == 1, done.stderr
    assert "label-range" in done.stdout
    assert f"{config} is not written" in done.stdout
    assert not config.exists()
    found = json.loads(report.read_text())
    assert found["errors"] == 1
    assert found["findings"][0]["files"] == ["annotations/test/b.png (7)"]

    check(noisy_set, "--num-classes", "8", *options, ok=True)
    assert json.loads(report.read_text())["errors"] == 0
    assert config.is_file()

    config.write_text("mine")
    done = check(noisy_set, "--num-classes", "8", *options)
    assert done.returncode == 2, done.stderr
    assert f"{config} exists; add --overwrite to replace it" in done.stderr
    assert config.read_text() == "mine"
    check(noisy_set, "--num-classes", "8", *options, "--overwrite", ok=True)
    assert "num_classes = 8" in config.read_text()

    done = check(noisy_set, "--accept", "leek")
    assert done.returncode == 2, done.stderr
    assert "did you mean 'leak'" in done.stderr
    assert "Traceback" not in done.stderr
