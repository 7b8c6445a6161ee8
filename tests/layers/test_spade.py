import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.context import Context, OneHot
from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import NORM_KINDS, SPADE, SPADEResBlock

CONTEXT = 5


def nearest(x, size):
    rows = [i * x.shape[2] // size[0] for i in range(size[0])]
    columns = [j * x.shape[3] // size[1] for j in range(size[1])]
    return x[:, :, rows][..., columns]


def conv(x, weight, bias=None, pad=0, dilation=1):
    if pad:
        x = F.pad(x, (pad, pad, pad, pad), mode="reflect")
    return F.conv2d(x, weight, bias, dilation=dilation)


def normalised(state, name):
    """Weight over its largest singular value, from the stored singular vectors."""
    weight = state[f"{name}.parametrizations.weight.original"]
    u, v = (state[f"{name}.parametrizations.weight.0.{key}"] for key in ("_u", "_v"))
    return weight / (u @ weight.flatten(1) @ v)


def plain_spade(state, prefix, features, context):
    def parts(name):
        return state[f"{prefix}{name}.weight"], state[f"{prefix}{name}.bias"]

    context = nearest(context, features.shape[2:])
    hidden = conv(context, *parts("shared"), pad=1).clamp(min=0)
    mean = features.mean(1, keepdim=True)
    variance = (features - mean).square().sum(1, keepdim=True) / (features.shape[1] - 1)
    normal = (features - mean) / (variance + 1e-5).sqrt()
    gamma, beta = conv(hidden, *parts("gamma"), pad=1), conv(hidden, *parts("beta"), pad=1)
    return normal * (1 + gamma) + beta


def plain_block(state, x, context, dilation=1):
    def step(index, x):
        x = plain_spade(state, f"norm_{index}.", x, context)
        x = torch.where(x > 0, x, 0.2 * x)
        weight, bias = normalised(state, f"conv_{index}"), state[f"conv_{index}.bias"]
        return conv(x, weight, bias, pad=dilation, dilation=dilation)

    shortcut = x
    if "norm_s.shared.weight" in state:
        shortcut = conv(plain_spade(state, "norm_s.", x, context), normalised(state, "conv_s"))
    return shortcut + step(1, step(0, x))


@pytest.mark.parametrize("size", [(16, 24), (8, 12), (4, 6), (11, 7)])
def test_spade_is_the_plain_formula(size):
    layer = SPADE(6, CONTEXT, hidden=4).double()
    features = torch.randn(2, 6, 8, 12, dtype=torch.float64)
    context = torch.randn(2, CONTEXT, *size, dtype=torch.float64)
    expected = plain_spade(layer.state_dict(), "", features, context)
    torch.testing.assert_close(layer(features, context), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("widths", [(6, 6), (8, 4), (4, 8)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_block_is_the_plain_formula(widths, dilation):
    block = SPADEResBlock(*widths, CONTEXT, hidden=4, dilation=dilation).double().eval()
    x = torch.randn(2, widths[0], 4, 6, dtype=torch.float64)
    context = torch.randn(2, CONTEXT, 16, 24, dtype=torch.float64)
    expected = plain_block(block.state_dict(), x, context, dilation)
    torch.testing.assert_close(block(x, context), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("size", [(4, 6), (1, 3)])  # the second is smaller than the padding
@pytest.mark.parametrize("classes", [3, 20])
def test_a_block_reads_ids_as_the_dense_map(size, classes):
    block = SPADEResBlock(8, 4, 3 + classes, hidden=4).double().eval()
    x = torch.randn(2, 8, *size, dtype=torch.float64, requires_grad=True)
    image = torch.randn(2, 3, 16, 24, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, classes, (2, 16, 24))
    one_hot = F.one_hot(ids, classes).permute(0, 3, 1, 2).double()
    found = block(x, Context([image, OneHot(ids, classes)]))
    dense = block(x, torch.cat([image, one_hot], 1))
    torch.testing.assert_close(found, dense, atol=1e-10, rtol=0)
    inputs = [x, image, *block.parameters()]
    upstream = torch.randn_like(found)
    pairs = zip(
        *(torch.autograd.grad(out, inputs, upstream) for out in (found, dense)), strict=True
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


def test_layers_of_a_block_share_one_convolution_unless_they_may_not_be_looked_into(monkeypatch):
    class Apart(SPADE):
        """As sharding makes a unit of its own: another class."""

    calls = []
    block = SPADEResBlock(8, 4, CONTEXT, hidden=4).eval()
    inputs = torch.randn(2, 8, 4, 6), torch.randn(2, CONTEXT, 16, 24)
    for layer in (block.norm_0, block.norm_1, block.norm_s):
        layer.shared.register_forward_hook(lambda *seen: calls.append(seen[-1].shape))
    together = block(*inputs)
    block.norm_1.__class__ = Apart
    torch.testing.assert_close(block(*inputs), together)
    assert calls == []
    block.norm_1.shared.__class__ = type("Unit", (type(block.norm_1.shared),), {})
    torch.testing.assert_close(block(*inputs), together)
    assert calls == [(2, 4, 4, 6)]


@pytest.mark.parametrize("slope", [None, 0.2])
def test_a_slope_activates(slope):
    layer, features = SPADE(6, CONTEXT, hidden=4), torch.randn(2, 6, 4, 6)
    context = torch.randn(2, CONTEXT, 4, 6)
    plain = layer(features, context)
    expected = plain if slope is None else torch.where(plain > 0, plain, slope * plain)
    torch.testing.assert_close(layer(features, context, slope), expected)


def test_convolutions_of_the_block_have_norm_one_and_those_inside_spade_are_free():
    block = SPADEResBlock(8, 4, CONTEXT, hidden=4)
    for _ in range(40):
        block(torch.randn(1, 8, 4, 6), torch.randn(1, CONTEXT, 4, 6))
    block.eval()
    for layer in (block.conv_0, block.conv_1, block.conv_s):
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
        assert largest == pytest.approx(1, abs=1e-3)
    names = [name for name in block.state_dict() if "original" in name]
    assert sorted(name.split(".")[0] for name in names) == ["conv_0", "conv_1", "conv_s"]
    assert block.conv_s.bias is None


@pytest.mark.parametrize("norm", NORM_KINDS)
@pytest.mark.parametrize("gated", [False, True])
def test_gradient_reaches_everything_with_every_norm(norm, gated):
    block = SPADEResBlock(8, 4, CONTEXT, hidden=4, norm=norm, squeeze_excitation=gated)
    x = torch.randn(2, 8, 4, 6, requires_grad=True)
    context = torch.randn(2, CONTEXT, 8, 12, requires_grad=True)
    out = block(x, context)
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in [("x", x), ("context", context), *block.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_wider_kernel_keeps_the_size():
    layer = SPADE(6, CONTEXT, hidden=4, kernel=5)
    assert layer.gamma.weight.shape == (6, 4, 5, 5)
    assert layer(torch.randn(1, 6, 1, 2), torch.randn(1, CONTEXT, 4, 8)).shape == (1, 6, 1, 2)


def test_even_kernel_is_refused():
    with pytest.raises(ConfigError, match="kernel is 4; allowed are odd"):
        SPADE(6, CONTEXT, kernel=4)


def test_autocast_is_close_to_full_precision():
    block = SPADEResBlock(32, 16, CONTEXT, hidden=16).eval()
    x, context = torch.randn(1, 32, 8, 8) + 20, torch.randn(1, CONTEXT, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = block(x, context)
    full = block(x, context)
    assert (mixed - full).abs().max() / full.abs().max() < 0.03
