import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.ops import winograd

FORMS = (torch.contiguous_format, torch.channels_last)
# (B, C, H, W), output channels, padding
SIZES = [
    ((1, 3, 6, 6), 2, 0),
    ((2, 3, 8, 12), 5, 1),
    ((2, 4, 10, 18), 3, 0),
    ((1, 2, 4, 4), 3, 1),
    ((1, 2, 2, 6), 3, 2),
]


def random(size, outs, dtype=torch.float64, form=torch.contiguous_format):
    x = torch.randn(size, dtype=dtype).contiguous(memory_format=form)
    weight = torch.randn(outs, size[1], 3, 3, dtype=dtype).contiguous(memory_format=form)
    return x, weight, torch.randn(outs, dtype=dtype)


def plain_gradients(x, weight, padding, noise):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    return torch.autograd.grad((F.conv2d(x, weight, padding=padding) * noise).sum(), (x, weight))


@pytest.fixture(params=[None, 36 * 3 * 3, 36 * 20])
def block(request, monkeypatch):
    """Of values so few that rows and channels go in several parts, or one of them."""
    if request.param:
        monkeypatch.setattr(winograd, "BLOCK", request.param)


@pytest.mark.parametrize(("size", "outs", "padding"), SIZES)
@pytest.mark.parametrize("form", FORMS)
def test_is_the_direct_sum(size, outs, padding, form, block):
    x, weight, bias = random(size, outs, form=form)
    for shift in (bias, None):
        found = winograd.convolve(x, weight, shift, padding)
        torch.testing.assert_close(
            found, F.conv2d(x, weight, shift, padding=padding), rtol=1e-10, atol=1e-10
        )
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert found._base is None, "what follows may work in place"
    divisor = torch.tensor(3.0, dtype=torch.float64)
    found = winograd.convolve(x, weight, bias, padding, divisor)
    expected = F.conv2d(x, weight / 3, bias, padding=padding)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("size", "outs", "padding"), SIZES)
@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_the_direct_sum(size, outs, padding, form, block):
    x, weight, _ = random(size, outs, form=form)
    noise = torch.randn_like(F.conv2d(x, weight, padding=padding))
    wanted = plain_gradients(x, weight, padding, noise)
    found = winograd.gradients(noise, x, weight, padding, True, True)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    only_x = winograd.gradients(noise, x[:1, :1, :1, :1].expand(size), weight, padding, True, False)
    torch.testing.assert_close(only_x[0], wanted[0], rtol=1e-10, atol=1e-10)
    only_weight = winograd.gradients(noise, x, weight, padding, False, True)
    torch.testing.assert_close(only_weight[1], wanted[1], rtol=1e-10, atol=1e-10)
    divisor = torch.tensor(3.0, dtype=torch.float64)
    divided = winograd.gradients(noise, x, weight, padding, True, True, divisor)
    torch.testing.assert_close(divided, tuple(g / 3 for g in wanted), rtol=1e-10, atol=1e-10)
    assert only_x[1] is None
    assert only_weight[0] is None


def test_rounding_of_wide_layers_in_single_precision():
    torch.manual_seed(0)
    x, weight, _ = random((1, 256, 18, 18), 256, torch.float32)
    noise = torch.randn(1, 256, 16, 16)
    exact = F.conv2d(x.double(), weight.double())
    wanted = plain_gradients(x.double(), weight.double(), 0, noise.double())
    found = (winograd.convolve(x, weight, None, 0), *winograd.gradients(noise, x, weight, 0, 1, 1))
    for value, truth in zip(found, (exact, *wanted), strict=True):
        error = (value - truth).square().mean().sqrt() / truth.square().mean().sqrt()
        assert error < 4e-6


@pytest.mark.parametrize(
    ("size", "padding", "whole"),
    [((64, 64), 1, True), ((66, 34), 0, True), ((64, 62), 1, False), ((4, 4), 0, False)],
)
def test_which_sizes_fit(size, padding, whole):
    assert winograd.fits(size, padding) is whole


def test_where_it_pays():
    assert winograd.pays(512, 512, 64 * 64)
    assert winograd.pays(128, 512, 64 * 64)
    assert not winograd.pays(64, 64, 64 * 64), "transforms of few channels cost more"
    assert not winograd.pays(1024, 1024, 16 * 16), "so do transforms of kernels for few positions"
