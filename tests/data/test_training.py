"""Each public layout through the real config and runner: two steps, a validation, a test."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import test as run_test
from mcltoolkit.engine.launch import train

pytestmark = pytest.mark.integration

CONFIG = """
_base_ = {base!r}
data = dict(_delete_=True, type={kind!r}, data_root={root!r})
size = dict(type="PILResize", height=64, width=64)
train_dataloader = dict(dataset=dict(
    geometry=[
        dict(type="PILResize", height=72, width=72), dict(type="RandomCrop", height=64, width=64),
    ],
    **data,
))
val_dataloader = dict(dataset=dict(
    split="validation", exemplar_list={listed!r}, exemplar_choice="first", max_samples=2,
    geometry=[size], **data,
))
test_dataloader = val_dataloader
val_evaluator = [dict(type="MatchEntropy")]
test_evaluator = val_evaluator
model = dict(condition_channels={channels}, losses=dict(mask={mask}))
train_cfg = dict(max_iters=2, val_interval=2)
"""
SETS = {
    "ADE20K": ("ade20k", "ade20k_ref_test.txt", 151, True),
    "CelebAHQMasks": ("celebahq", "celebahq_ref_test.txt", 19, True),
    "CelebAHQEdges": ("celebahqedge", "celebahq_ref_test.txt", 15, False),
    "DeepFashion": ("deepfashion", "deepfashion_ref_test.txt", 20, False),
}


@pytest.mark.parametrize("kind", SETS)
def test_two_steps_and_a_report(shared_data, tiny_config, tmp_path, kind):
    folder, listed, channels, labels = SETS[kind]
    text = CONFIG.format(
        base=str(tiny_config),
        kind=kind,
        root=str(shared_data / "samples" / folder),
        listed=listed,
        channels=channels,
        mask="dict(type='MaskLoss', weight=1.0, ignore_label=0)" if labels else None,
    )
    (tmp_path / "config.py").write_text(text)
    config = load_config(tmp_path / "config.py", work_dir=str(tmp_path / "work"))
    runner = train(config)
    assert runner.iter == 2
    losses = {name for name in runner.message_hub.log_scalars if name.startswith("train/loss")}
    assert ("train/loss_mask" in losses) == labels
    values = [runner.message_hub.get_scalar(name).current() for name in losses]
    assert len(values) > 4
    assert all(np.isfinite(value) for value in values)
    state = torch.load(tmp_path / "work" / "iter_2.pth", weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())
    with Image.open(tmp_path / "work" / "grids" / "iter_000002.png") as grid:
        assert min(grid.size) > 64

    run_test(config, str(tmp_path / "work" / "iter_2.pth"), out_dir=str(tmp_path / "test"))
    assert json.loads((tmp_path / "test" / "metrics.json").read_text())
    assert (tmp_path / "test" / "report.html").stat().st_size > 10_000
