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
    options = (noisy_set, "--num-classes", "2", "--json", report, "--config-out", config)
    done = check(*options, "--workers", "2")
    assert done.returncode == 1, done.stderr
    assert "label-range" in done.stdout
    assert "b.png (7)" in done.stdout
    assert "not written: the errors come first" in done.stdout
    assert not config.exists()
    several = json.loads(report.read_text())
    assert several["errors"] == 1
    assert several["findings"][0]["files"] == ["annotations/test/b.png (7)"]
    check(*options, "--workers", "0")
    assert json.loads(report.read_text()) == several

    done = check(noisy_set, "--num-classes", "8", "--config-out", config, ok=True)
    assert config.is_file()
    done = check("--config", config, ok=True)
    assert "8 classes" in done.stdout

    for wrong, words in (
        ((), "nothing to examine"),
        ((tmp_path / "nowhere",), "is not a folder"),
        ((noisy_set, "--convert-labels", tmp_path), "needs --palette"),
        ((noisy_set, "--palette", tmp_path / "no.yaml"), "does not exist"),
        ((noisy_set, "--accept", "leek"), "did you mean 'leak'"),
        ((noisy_set, "--palette-out", tmp_path / "p.yaml"), "no palette to write"),
        (("--config", config, "--config-out", config), "give ROOT instead"),
        (("--config", config, "--ignore-label", "3"), "told by --palette or --config already"),
    ):
        done = check(*wrong)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
