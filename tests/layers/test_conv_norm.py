import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcltoolkit.layers import NORM_KINDS, Conv, ConvNorm, build_norm


@pytest.mark.parametrize("norm", NORM_KINDS)
@pytest.mark.parametrize("slope", [None, 0.2])
def test_it_is_its_parts_after_each_other(norm, slope):
    conv, module = Conv(3, 4, 3, padding=1), build_norm(norm, 4)
    x = torch.randn(2, 3, 6, 5, requires_grad=True)
    expected = build_norm(norm, 4)(conv(x))
    expected = expected if slope is None else F.leaky_relu(expected, slope)
    out = ConvNorm(conv, module, slope)(x)
    torch.testing.assert_close(out, expected)
    noise = torch.randn_like(out)
    inputs = (x, conv.weight)
    found = torch.autograd.grad((out * noise).sum(), inputs)
    wanted = torch.autograd.grad((expected * noise).sum(), inputs)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_state_names_are_those_of_a_sequential():
    parts = Conv(3, 4, 3), build_norm("bn", 4)
    assert ConvNorm(*parts, 0.2).state_dict().keys() == nn.Sequential(*parts).state_dict().keys()


def test_a_single_position_is_zero():
    stage = ConvNorm(Conv(3, 4, 3), build_norm("instance", 4), 0.2)
    assert not stage(torch.randn(1, 3, 3, 3)).any()
