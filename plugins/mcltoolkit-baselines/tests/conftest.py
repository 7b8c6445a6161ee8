import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch

from mcltoolkit.plugins import load_plugins
from mcltoolkit.structures import Batch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
PACKAGE = "mcltoolkit_baselines"
if not any(entry.value == PACKAGE for entry in entry_points(group="mcltoolkit.plugins")):
    load_plugins([PACKAGE])  # run from a checkout, not installed; reaches child processes, too


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def configs() -> Path:
    """The package's configs."""
    return Path(__file__).resolve().parent.parent / "configs"


@pytest.fixture
def make_batch():
    """A batch of random one-hot conditions and images."""

    def one_hot(labels, channels):
        return torch.nn.functional.one_hot(labels, channels).permute(0, 3, 1, 2).float()

    def make(count=2, size=(32, 48), exemplar_size=None, channels=5):
        theirs = exemplar_size or size
        labels = torch.randint(channels, (count, *size))
        exemplar_labels = torch.randint(channels, (count, *theirs))
        return Batch(
            names=[f"sample {i}" for i in range(count)],
            exemplar=torch.rand(count, 3, *theirs) * 2 - 1,
            paired=torch.arange(count) % 2 == 0,
            labels=labels,
            condition=one_hot(labels, channels),
            truth=torch.rand(count, 3, *size) * 2 - 1,
            exemplar_labels=exemplar_labels,
            exemplar_condition=one_hot(exemplar_labels, channels),
        )

    return make
