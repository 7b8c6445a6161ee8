import pytest
import torch
import torch.nn.functional as F

from benchmarks.plain import conv as plain
from benchmarks.plain import spectral as spectral_plainly
from mcltoolkit import ops
from mcltoolkit.ops import conv, winograd
from mcltoolkit.ops.spectral import power_iteration


@pytest.fixture
def taken(monkeypatch):
    """Has small maps go through `winograd`, too; how often one did."""
    calls = []
    convolve = winograd.convolve
    monkeypatch.setattr(winograd, "pays", lambda *sizes: True)
    monkeypatch.setattr(
        winograd, "convolve", lambda *args: calls.append(args[0].shape) or convolve(*args)
    )
    return calls


def inputs(dtype=torch.float32, kernel=3, size=8):
    x = torch.randn(2, 5, size, size, dtype=dtype, requires_grad=True)
    weight = torch.randn(6, 5, kernel, kernel, dtype=dtype) / 7  # results of about 1
    return x, weight.requires_grad_(), torch.randn(6, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
@pytest.mark.parametrize("biased", [True, False])
def test_is_the_plain_one(taken, padding, biased):
    x, weight, bias = inputs(size=10 if padding == (0, 0) else 8)
    bias = bias if biased else None
    wanted = [t for t in (x, weight, bias) if t is not None]
    out = ops.conv2d(x, weight, bias, padding=padding)
    expected = plain.conv2d(x, weight, bias, padding=padding)
    assert taken, "the way under test is taken"
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    noise = torch.randn_like(out)
    found = torch.autograd.grad((out * noise).sum(), wanted)
    plainly = torch.autograd.grad((expected * noise).sum(), wanted)
    torch.testing.assert_close(found, plainly, atol=3e-5, rtol=1e-5)


def test_gradient(taken, monkeypatch):
    monkeypatch.setattr(conv, "by_winograd", lambda *settings: True)
    x, weight, bias = inputs(torch.float64)
    assert torch.autograd.gradcheck(
        lambda *tensors: ops.conv2d(*tensors, padding=(1, 1)), (x, weight, bias)
    )
    assert taken


@pytest.mark.parametrize("asked", [(True, False), (False, True)])
def test_gradients_that_nobody_asks_for(taken, asked):
    x, weight, _ = inputs()
    x.requires_grad_(asked[0]), weight.requires_grad_(asked[1])
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = ops.conv2d(x, weight, padding=(1, 1))
    assert any(t.shape == x.shape for t in kept) is asked[1], "the map is for the weight's gradient"
    noise, wanted = torch.randn_like(out), x if asked[0] else weight
    (found,) = torch.autograd.grad((out * noise).sum(), wanted)
    (plainly,) = torch.autograd.grad((F.conv2d(x, weight, padding=1) * noise).sum(), wanted)
    torch.testing.assert_close(found, plainly, atol=3e-5, rtol=1e-5)
    assert taken


@pytest.mark.parametrize(
    ("settings", "kernel", "size"),
    [
        ({"stride": (2, 2)}, 3, 8),
        ({"padding": (2, 2), "dilation": (2, 2)}, 3, 8),
        ({"padding": (1, 1)}, 3, 7),
        ({"padding": (1, 0)}, 3, 8),
        ({}, 1, 8),
    ],
)
def test_others_are_torchs_own(taken, settings, kernel, size):
    x, weight, bias = inputs(kernel=kernel, size=size)
    assert torch.equal(
        ops.conv2d(x, weight, bias, **settings), F.conv2d(x, weight, bias, **settings)
    )
    assert not taken


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_torchs_own(taken, dtype):
    tensors = inputs(dtype)
    assert torch.equal(ops.conv2d(*tensors, padding=(1, 1)), F.conv2d(*tensors, padding=1))
    with torch.autocast("cpu", torch.bfloat16):
        assert ops.conv2d(*inputs(), padding=(1, 1)).dtype == torch.bfloat16
    assert not taken


def test_second_derivatives(taken):
    x, weight, bias = inputs()
    found = []
    for convolution in (ops.conv2d, F.conv2d):
        out = convolution(x, weight, bias, padding=(1, 1))
        (slope,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), (x, weight)))
    assert taken
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)


def test_no_sample_at_all(taken):
    weight = torch.randn(6, 5, 3, 3)
    assert ops.conv2d(torch.empty(0, 5, 8, 8), weight, padding=(1, 1)).shape == (0, 6, 8, 8)
    assert not taken


def test_another_default_device_changes_nothing(taken):
    x, weight, bias = inputs()
    expected = ops.conv2d(x, weight, bias, padding=(1, 1))
    with torch.device("meta"):
        assert torch.equal(ops.conv2d(x, weight, bias, padding=(1, 1)), expected)
    assert len(taken) == 2


@pytest.mark.parametrize(("size", "outs"), [(8, 6), (4, 200)])
def test_spectrally_normalised_ones_take_it_too(taken, size, outs):
    """The factor goes to the weight or, where that is larger, to the result."""
    x = torch.randn(1, 5, size, size, requires_grad=True)
    weight = torch.randn(outs, 5, 3, 3, requires_grad=True)
    u, v = torch.randn(outs), torch.randn(45)
    power_iteration(weight, u, v, 2)
    bias = torch.randn(outs, requires_grad=True)
    found = []
    for form in (ops.spectral_conv2d, spectral_plainly.spectral_conv2d):
        out = form(x, weight, u, v, None, bias, padding=(1, 1))
        noise = torch.linspace(-1, 1, out.numel()).view_as(out)
        found.append([out, *torch.autograd.grad((out * noise).sum(), (x, weight, bias))])
    assert taken
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        still = ops.spectral_conv2d(x, weight, u, v, None, bias, padding=(1, 1))
    torch.testing.assert_close(still, found[1][0], atol=1e-4, rtol=1e-4)


def test_it_can_be_forbidden(taken):
    tensors = inputs()
    before = conv.allow_winograd(False)
    try:
        assert torch.equal(ops.conv2d(*tensors, padding=(1, 1)), F.conv2d(*tensors, padding=1))
        assert not taken
    finally:
        assert conv.allow_winograd(before) is False
    ops.conv2d(*tensors, padding=(1, 1))
    assert taken


def test_its_result_may_be_changed_in_place(taken):
    x, weight, bias = inputs()
    F.relu_(ops.conv2d(x, weight, bias, padding=(1, 1))).sum().backward()
    found = x.grad.clone()
    x.grad = None
    F.conv2d(x, weight, bias, padding=1).relu().sum().backward()
    torch.testing.assert_close(found, x.grad, atol=3e-5, rtol=1e-5)


def test_wide_maps_take_it_and_each_sample_alone_decides():
    x, weight = torch.empty(1, 512, 64, 64), torch.empty(512, 512, 3, 3)
    one, padding = (1, 1), (1, 1)
    assert conv.by_winograd(x, weight, one, padding, one)
    small = torch.empty(64, 512, 8, 8)
    assert not conv.by_winograd(small, weight, one, padding, one)
