from types import SimpleNamespace

import pytest
import torch
from mcltoolkit_baselines.style_kl import StyleKLLoss, standard_normal_kl
from torch.distributions import Normal, kl_divergence


def test_against_torch_distributions():
    mean = torch.randn(5, 7, dtype=torch.float64) * 2
    logvar = torch.randn(5, 7, dtype=torch.float64)
    standard = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), standard).sum(1)
    torch.testing.assert_close(standard_normal_kl(mean, logvar), expected)


def test_zero_at_the_standard_normal_and_exact_near_it():
    zero = torch.zeros(2, 3)
    assert standard_normal_kl(zero, zero).tolist() == [0, 0]
    small = torch.full((1, 1), 1e-3)
    # v^2 / 4 + v^3 / 12 + ...; 1 + v - e^v in float32 would be off by per cents
    assert standard_normal_kl(zero[:1, :1], small).item() == pytest.approx(
        1e-6 / 4 + 1e-9 / 12, rel=1e-3
    )


def test_gradient():
    mean = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    logvar = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    standard_normal_kl(mean, logvar).sum().backward()
    torch.testing.assert_close(mean.grad, mean.detach())
    torch.testing.assert_close(logvar.grad, (logvar.detach().exp() - 1) / 2)


def test_half_precision_is_summed_in_float32():
    wide = torch.full((1, 1000), 30.0, dtype=torch.float16)  # the sum of squares overflows half
    assert standard_normal_kl(wide, torch.zeros_like(wide)).item() == pytest.approx(450_000)


def test_loss_is_the_mean_over_the_batch():
    found = dict(style_mean=torch.randn(3, 4), style_logvar=torch.randn(3, 4))
    translation = SimpleNamespace(need=found.__getitem__)
    loss = StyleKLLoss()
    assert loss.requires == frozenset(found)
    assert loss.weight == 0.05
    each = standard_normal_kl(*found.values())
    assert loss(translation).item() == pytest.approx(each.sum().item() / 3)
