"""tools/evaluate.py and tools/test.py --metrics."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.metrics.results import Result, read_results, write_results

pytestmark = pytest.mark.integration


@pytest.fixture
def folders(tmp_path):
    random = np.random.default_rng(0)
    for folder, suffix in (("out", "jpg"), ("ref", "png")):
        (tmp_path / folder).mkdir()
        for i in range(3):
            pixels = random.integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.{suffix}")
    return tmp_path


def test_files_are_measured_and_results_compared(tool, folders):
    def evaluate(*arguments, ok=True):
        return tool(sys.executable, "tools/evaluate.py", *arguments, ok=ok)

    first, second = folders / "first.json", folders / "second.json"
    done = evaluate(folders / "out", folders / "ref", "--out", first)
    assert "warning: the outputs are jpg and the reference images png" in done.stdout
    assert "psnr-torchmetrics-1" in done.stdout
    results = read_results(first)
    assert results["l1"].value > 0
    told = {**results["psnr"].passport, "file_format": "png"}
    write_results(second, {"psnr": Result(results["psnr"].value + 1, told)})
    other = evaluate("--compare", first, second, ok=False)
    assert other.returncode == 2
    for word in ("psnr", "file_format", "'jpg against png'", "'png'"):
        assert word in other.stderr


def test_a_test_measures_what_is_asked_for(train, tool, tiny_config, tmp_path):
    train(tmp_path, "--cfg-options", "train_cfg.max_iters=2")
    done = tool(
        sys.executable, "tools/test.py", tiny_config, tmp_path / "iter_2.pth", "--work-dir",
        tmp_path, "--metrics", "swd", "style", "semantic", "kid", "--kid-subset-size", "2",
        "--vgg-weights", "random", "--inception-weights", "random",
    )  # fmt: skip
    results = read_results(tmp_path / "test" / "metrics.json")
    added = {"swd", "style_colour_paper", "style_texture_released", "semantic_released", "kid"}
    assert added | {"psnr", "label_accuracy"} <= set(results)
    assert all(result.passport["protocol"] != "unknown" for result in results.values())
    assert results["kid"].passport["subset_size"] == 2
    assert f"{results['swd'].value:.4f}" in done.stdout
    classes = json.loads((tmp_path / "test" / "label_transfer.json").read_text())
    hits, true = (sum(c[key] for c in classes.values()) for key in ("hits", "true"))
    assert results["label_accuracy"].value == pytest.approx(hits / true, rel=1e-6)
    report = (tmp_path / "test" / "report.html").read_text()
    assert "Colour relevance (paper)" in report
