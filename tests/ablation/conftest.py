"""A small matrix as text, and runs whose results are made up."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mcltoolkit.ablation.matrix import read_matrix
from mcltoolkit.ablation.plan import plan
from mcltoolkit.metrics.results import Result, write_results

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def content():
    """What a matrix file says, to be changed by tests."""
    return {
        "base": str(ROOT / "tests/configs/tiny_scenes.py"),
        "seeds": [0, 3],
        "options": {
            "train_cfg.max_iters": 2,
            "train_cfg.val_interval": 0,
            "val_dataloader.dataset.length": 1,
            "test_dataloader.dataset.length": 2,
        },
        "groups": {
            "labels": {},
            "no labels": {"model.correspondence.mask_mix": False, "model.losses.mask": None},
        },
        "changes": {
            "full": {},
            "w/o mcl": {"model.losses.mcl": None},
            "margin 0": {"model.losses.mcl.margin": 0.0},
        },
        "evaluations": {"scenes": {}, "self": {"test_dataloader.dataset.exemplar": "self"}},
        "metrics": [
            {"name": "scenes/label_accuracy", "label": "label transfer", "better": "higher"},
            {"name": "self/psnr", "label": "PSNR (dB)", "better": "higher", "decimals": 2},
        ],
        "reference": "full",
    }


@pytest.fixture
def write(tmp_path):
    """Writes a matrix file."""

    def put(content, name="matrix.yaml"):
        path = tmp_path / name
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        path.write_text(text)
        return path

    return put


@pytest.fixture
def planned(write, tmp_path):
    """Matrix and runs of what a matrix file says."""

    def make(content, **arguments):
        matrix = read_matrix(write(content))
        return matrix, plan(matrix, tmp_path / "work", **arguments)

    return make


@pytest.fixture
def finish():
    """Writes made-up metrics (`EVALUATION/METRIC`: value) of a run, as a worker would."""

    def put(run, metrics, **passport):
        for evaluation in run.evaluations:
            evaluation.folder.mkdir(parents=True, exist_ok=True)
            head = f"{evaluation.name}/"
            own = {k.removeprefix(head): v for k, v in metrics.items() if k.startswith(head)}
            write_results(evaluation.metrics_file, {n: Result(v, passport) for n, v in own.items()})

    return put
