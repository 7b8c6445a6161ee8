"""tools/demo.py, shortened: the files that the README promises."""

import sys

import pytest

from mcltoolkit.metrics.results import read_results

pytestmark = pytest.mark.integration


def test_demo_writes_metrics_pictures_and_a_report_with_curves(tool, tmp_path):
    done = tool(
        sys.executable, "tools/demo.py", "--work-dir", tmp_path, "--cfg-options",
        "train_cfg.max_iters=4", "train_cfg.val_interval=2", "train_dataloader.batch_size=2",
        "val_dataloader.dataset.length=2", "test_dataloader.dataset.length=3",
        "default_hooks.logger.interval=1",
    )  # fmt: skip
    results = read_results(tmp_path / "metrics.json")
    metrics = {name: result.value for name, result in results.items()}
    assert all(result.passport["protocol"] != "unknown" for result in results.values())
    wanted = {"psnr", "psnr_copy_exemplar", "psnr_untrained", "label_accuracy", "train_seconds"}
    assert wanted <= set(metrics)
    untrained = read_results(tmp_path / "untrained" / "metrics.json")
    assert results["psnr_untrained"] == untrained["psnr"]
    assert metrics["psnr"] != untrained["psnr"].value
    assert f"{metrics['psnr']:.2f} dB" in done.stdout
    report = (tmp_path / "report.html").read_text()
    assert report.count("data:image/svg+xml") >= 5, "loss and metric curves"
    assert (tmp_path / "grids" / "iter_000004.png").is_file()
