"""A training that also logs to WandB, without network."""

import json
import sys

import pytest

pytestmark = pytest.mark.integration


def test_a_run_is_recorded_offline(tool, tiny_config, tmp_path):
    pytest.importorskip("wandb", reason="wandb is an optional dependency")
    config = tmp_path / "logged.py"
    config.write_text(
        f"_base_ = {str(tiny_config)!r}\n"
        "vis_backends = [dict(type='LocalVisBackend'), dict(type='WandbVisBackend',"
        " define_metric_cfg=[dict(name='*', step_metric='iter')])]\n"
        "visualizer = dict(vis_backends=vis_backends)\n"
        "train_cfg = dict(max_iters=2, val_interval=2)\n"
    )
    tool(
        sys.executable, "tools/train.py", config, "--work-dir", tmp_path / "work",
        WANDB_MODE="offline", WANDB_SILENT="true",
    )  # fmt: skip
    (file,) = tmp_path.glob("work/*/vis_data/wandb/offline-run-*/run-*.wandb")
    recorded = file.read_bytes()
    (scalars,) = tmp_path.glob("work/*/vis_data/scalars.json")
    trained, validated = map(json.loads, scalars.read_text().splitlines()[-2:])
    for values, names in ((trained, ("loss", "loss_pse")), (validated, ("psnr", "label_miou"))):
        for name in names:
            assert name.encode() in recorded
            assert json.dumps(values[name]).encode() in recorded
    assert list(file.parent.glob("files/media/images/translation_*.png"))
