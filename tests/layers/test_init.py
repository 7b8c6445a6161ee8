import pytest
import torch
from torch import nn

from mcltoolkit.layers import Conv, NonLocalAttention, init_weights, spectral


def std(fan_in, fan_out, gain):
    return gain * (2 / (fan_in + fan_out)) ** 0.5


def test_xavier_scale_and_zero_bias():
    conv, linear = Conv(32, 48, 3), nn.Linear(64, 200)
    init_weights(nn.Sequential(conv, nn.Sequential(linear)), gain=0.02)
    assert conv.weight.std().item() == pytest.approx(std(32 * 9, 48 * 9, 0.02), rel=0.05)
    assert linear.weight.std().item() == pytest.approx(std(64, 200, 0.02), rel=0.05)
    assert not conv.bias.any()
    assert not linear.bias.any()


def test_normalised_weights_are_drawn_under_their_norm():
    conv = spectral(Conv(32, 48, 3))
    init_weights(conv, gain=0.02)
    original = conv.parametrizations.weight.original
    assert original.std().item() == pytest.approx(std(32 * 9, 48 * 9, 0.02), rel=0.05)
    assert not conv.bias.any()
    # without fresh singular vectors the first pass would be far off
    largest = torch.linalg.svdvals(conv.eval().weight.detach().flatten(1))[0]
    assert largest.item() == pytest.approx(1, abs=0.2)


def test_attention_gain_stays_zero():
    attention = NonLocalAttention(16)
    init_weights(attention)
    assert attention.gain.item() == 0
