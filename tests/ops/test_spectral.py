import copy

import pytest
import torch
import torch.nn.functional as F

from benchmarks.plain import spectral as plain
from mcltoolkit import ops
from mcltoolkit.ops.spectral import power_iteration, spectral_value

# x is large or small against the weight: the factor 1 / sigma goes to the weight or the output
SIZES = [(2, 4, 9, 8), (1, 4, 3, 3)]
FORMS = (torch.contiguous_format, torch.channels_last)
SETTINGS = [
    {},
    {"stride": (2, 2), "padding": (1, 1)},
    {"padding": (2, 2), "dilation": (2, 2)},
]


def parameters(dtype=torch.float32, form=torch.contiguous_format):
    weight = (torch.randn(6, 4, 3, 3, dtype=dtype) * 3).contiguous(memory_format=form)
    u = F.normalize(torch.randn(6, dtype=dtype), dim=0)
    v = F.normalize(torch.randn(36, dtype=dtype), dim=0)
    power_iteration(weight, u, v, 2)
    bias = torch.randn(6, dtype=dtype)
    return weight.requires_grad_(), u, v, bias.requires_grad_()


def outcome(function, x, weight, u, v, bias, noise=None, **settings):
    out = function(x, weight, u, v, None, bias, **settings)
    noise = torch.randn_like(out) if noise is None else noise
    wanted = [t for t in (x, weight, bias) if t is not None and t.requires_grad]
    return out.detach(), torch.autograd.grad((out * noise).sum(), wanted), noise


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_convolution_is_the_plain_one(size, settings, biased, form):
    if settings and size[-1] == 3:
        settings = {"padding": (1, 1)}
    weight, u, v, bias = parameters(form=form)
    bias = bias if biased else None
    x = torch.randn(size).contiguous(memory_format=form).requires_grad_()
    out, found, noise = outcome(ops.spectral_conv2d, x, weight, u, v, bias, **settings)
    expected, wanted, _ = outcome(plain.spectral_conv2d, x, weight, u, v, bias, noise, **settings)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-5)
    assert found[1].stride() == weight.stride()


@pytest.mark.parametrize("size", SIZES)
def test_gradient(size):
    weight, u, v, bias = parameters(torch.float64)
    x = torch.randn(size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, w, b: ops.spectral_conv2d(x, w, u, v, None, b, padding=(1, 1)), (x, weight, bias)
    )
    assert torch.autograd.gradcheck(lambda w: ops.spectral_weight(w, u, v), weight)


@pytest.mark.parametrize("asked", [(True, False), (False, True)])
def test_gradients_that_nobody_asks_for(asked):
    weight, u, v, bias = parameters()
    x = torch.randn(SIZES[0]).requires_grad_(asked[0])
    weight.requires_grad_(asked[1]), bias.requires_grad_(asked[1])
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        _, found, noise = outcome(ops.spectral_conv2d, x, weight, u, v, bias)
    assert any(t.shape == x.shape for t in kept) is asked[1], "the map is for the weight's gradient"
    _, wanted, _ = outcome(plain.spectral_conv2d, x, weight, u, v, bias, noise)
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-5)


def test_no_normalised_weight_is_kept():
    weight, u, v, bias = parameters()
    x = torch.randn(SIZES[0], requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        ops.spectral_conv2d(x, weight, u, v, None, bias)
    same = {weight.data_ptr(), x.data_ptr()}
    assert max(t.numel() for t in kept if t.data_ptr() not in same) == v.numel()


def test_vectors_may_move_on_before_the_backward_pass():
    weight, u, v, bias = parameters()
    x = torch.randn(SIZES[0], requires_grad=True)
    _, wanted, noise = outcome(plain.spectral_conv2d, x, weight, u.clone(), v.clone(), bias)
    out = ops.spectral_conv2d(x, weight, u, v, None, bias)
    power_iteration(weight.detach(), u, v, 3)
    found = torch.autograd.grad((out * noise).sum(), (x, weight, bias))
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_power_iteration_is_torch_s(form):
    conv = torch.nn.Conv2d(4, 6, 3)
    with torch.no_grad():
        conv.weight.copy_(parameters()[0])
    theirs = torch.nn.utils.parametrizations.spectral_norm(conv)
    norm = theirs.parametrizations.weight[0]
    weight = theirs.parametrizations.weight.original.detach().clone()
    weight = weight.contiguous(memory_format=form)
    u, v = norm._u.clone(), norm._v.clone()
    for _ in range(3):
        normalised = theirs.weight
        sigma = power_iteration(weight, u, v)
        torch.testing.assert_close((u, v), (norm._u, norm._v))
        torch.testing.assert_close(weight / sigma, normalised)
    torch.testing.assert_close(spectral_value(weight, u, v), sigma)
    torch.testing.assert_close(sigma, u @ weight.flatten(1) @ v)


@pytest.mark.parametrize("small", [True, False])
def test_autocast_convolves_in_half_precision_what_it_normalised_in_full(small):
    weight, u, v, bias = parameters()
    if small:  # below the smallest normal number of float16
        weight = (weight.detach() * 1e-7).requires_grad_()
    x = torch.randn(SIZES[0], requires_grad=True)
    expected, wanted, noise = outcome(plain.spectral_conv2d, x, weight, u, v, bias)
    with torch.autocast("cpu", torch.float16):
        out, found, _ = outcome(ops.spectral_conv2d, x, weight, u, v, bias, noise.half())
    assert out.dtype is torch.float16
    torch.testing.assert_close(out.float(), expected, atol=2e-2, rtol=1e-2)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype is torch.float32
        assert (one - other).norm() < 5e-3 * other.norm()


def test_without_graph_the_arithmetic_is_the_plain_one_to_the_bit():
    weight, u, v, bias = parameters()
    x = torch.randn(SIZES[1])
    with torch.no_grad():
        expected = F.conv2d(x, weight / spectral_value(weight, u, v), bias)
        assert torch.equal(ops.spectral_conv2d(x, weight, u, v, None, bias), expected)


def test_gradients_accumulate_over_two_passes():
    weight, u, v, _ = parameters()
    twice = copy.deepcopy(weight)
    x = torch.randn(SIZES[0])
    for function, leaf in ((ops.spectral_conv2d, weight), (plain.spectral_conv2d, twice)):
        for factor in (1, 2):
            function(factor * x, leaf, u, v).square().sum().backward()
    torch.testing.assert_close(weight.grad, twice.grad, atol=1e-4, rtol=1e-4)
