"""Networks of metrics run in full precision, whatever the process has set."""

import pytest
import torch
from torch import nn

from mcltoolkit.metrics import LPIPSNetwork
from mcltoolkit.metrics.shared import SharedNetwork

CUDNN = torch.backends.cudnn


def settings():
    return CUDNN.enabled, CUDNN.benchmark, CUDNN.deterministic


def convolutions_round():
    """Whether cuDNN's convolutions may round to TF32."""
    if hasattr(CUDNN, "conv"):
        return CUDNN.conv.fp32_precision == "tf32"
    return CUDNN.allow_tf32


class Watched(nn.Module):
    def forward(self, images):
        self.seen = convolutions_round(), settings()
        return images


@pytest.fixture
def rounding(monkeypatch):
    monkeypatch.setattr(CUDNN, "benchmark", True)
    monkeypatch.setattr(CUDNN, "allow_tf32", True)
    assert convolutions_round()
    return settings()


def test_shared_networks_see_no_tf32_and_leave_all_as_it_was(rounding, sample):
    network = Watched()
    SharedNetwork(network).of([sample(0)], "fake")
    assert network.seen == (False, rounding)
    assert convolutions_round()
    assert CUDNN.allow_tf32
    assert settings() == rounding


def test_lpips_too(rounding):
    network = LPIPSNetwork("random", net="squeeze")
    seen = []
    network.network.register_forward_pre_hook(lambda *_: seen.append(convolutions_round()))
    network(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))
    assert seen == [False]
    assert convolutions_round()


def test_a_failing_pass_restores_the_setting(rounding, sample):
    class Failing(nn.Module):
        def forward(self, images):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        SharedNetwork(Failing()).of([sample(0)], "fake")
    assert convolutions_round()
