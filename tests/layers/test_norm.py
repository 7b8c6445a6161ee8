import numpy as np
import pytest
import torch
from torch import nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import NORM_KINDS, InstanceNorm, PositionalNorm, build_norm


def test_positional_norm_is_the_plain_formula():
    x = torch.randn(2, 7, 3, 5, dtype=torch.float64) * 3 + 2
    values = x.numpy()
    mean = values.sum(1, keepdims=True) / 7
    variance = ((values - mean) ** 2).sum(1, keepdims=True) / 6
    expected = (values - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(PositionalNorm()(x).numpy(), expected, atol=1e-12)


def test_positional_norm_of_equal_channels_is_zero_with_finite_gradient():
    x = torch.full((1, 4, 2, 2), 3.0, requires_grad=True)
    out = PositionalNorm()(x)
    out.square().sum().backward()
    assert not out.any()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("norm", [PositionalNorm(), InstanceNorm()])
def test_half_precision_is_normalised_in_float32(norm):
    x = (torch.randn(2, 8, 6, 6) + 30).bfloat16()  # the mean eats most of bfloat16's digits
    out = norm(x)
    assert out.dtype is torch.bfloat16
    torch.testing.assert_close(out.double(), norm(x.double()), atol=2e-2, rtol=1e-2)


def test_positional_norm_gradient():
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(PositionalNorm(), x)


def test_instance_norm_is_torch_s():
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(InstanceNorm()(x), nn.InstanceNorm2d(3)(x))


def test_instance_norm_of_one_position_is_zero():
    x = torch.randn(2, 3, 1, 1, requires_grad=True)
    out = InstanceNorm()(x)
    out.sum().backward()
    assert not out.any()
    assert not x.grad.any()


@pytest.mark.parametrize("kind", NORM_KINDS)
def test_no_kind_learns_a_scale(kind):
    norm = build_norm(kind, 4)
    assert list(norm.parameters()) == []
    x = torch.randn(2, 4, 3, 3)
    assert norm(x).shape == x.shape


def test_none_changes_nothing():
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(build_norm("none", 4)(x), x)


def test_batch_norms_are_exchangeable():
    x = torch.randn(4, 3, 5, 6) * 2 + 1
    plain, synced = build_norm("bn", 3), build_norm("syncbn", 3)
    torch.testing.assert_close(plain(x), synced(x))
    torch.testing.assert_close(plain.state_dict(), synced.state_dict())
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    torch.testing.assert_close(plain.running_mean, 0.1 * mean)
    torch.testing.assert_close(plain.running_var, 0.9 + 0.1 * var)
    synced.load_state_dict(plain.state_dict())
    torch.testing.assert_close(plain.eval()(x), synced.eval()(x))


def test_unknown_kind_gets_a_hint():
    with pytest.raises(ConfigError, match="did you mean 'pono'.*syncbn, bn, instance, none"):
        build_norm("pomo", 4)


def test_positional_norm_needs_two_channels():
    with pytest.raises(ConfigError, match="needs at least 2"):
        build_norm("pono", 1)
