"""The config trains."""

from pathlib import Path

import torch

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import train

CONFIG = Path(__file__).parents[1] / "configs" / "my_plugin_scenes.py"
SMALL = {
    "train_cfg.max_iters": 2,
    "train_dataloader.batch_size": 2,
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "train_dataloader.dataset.length": 4,
    "train_dataloader.dataset.size": (32, 32),
    "val_dataloader": None,
    "val_cfg": None,
    "val_evaluator": None,
    "log_level": "ERROR",
}


def test_two_steps(tmp_path: Path) -> None:
    runner = train(load_config(CONFIG, SMALL, work_dir=str(tmp_path)))
    assert runner.iter == 2
    assert "MyPart" in {type(module).__name__ for module in runner.model.modules()}
    for name, value in runner.model.state_dict().items():
        assert torch.isfinite(value).all(), name
