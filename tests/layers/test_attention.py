import pytest
import torch

from mcltoolkit.layers import NonLocalAttention


def attention(channels=16, gain=0.7):
    layer = NonLocalAttention(channels).eval()
    layer.gain.data.fill_(gain)
    return layer


def halved(x):
    """Maximum of 2x2 cells; cells at an odd edge are smaller."""
    rows = [x[:, :, i : i + 2].amax(2) for i in range(0, x.shape[2], 2)]
    x = torch.stack(rows, 2)
    return torch.stack([x[..., j : j + 2].amax(3) for j in range(0, x.shape[3], 2)], 3)


def explicit(layer, x):
    def project(conv, values):
        return torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], values)

    queries = project(layer.query, x).flatten(2)
    keys = halved(project(layer.key, x)).flatten(2)
    values = halved(project(layer.value, x)).flatten(2)
    weights = torch.softmax(torch.einsum("bdn,bdm->bnm", queries, keys), dim=2)
    attended = torch.einsum("bnm,bcm->bcn", weights, values).reshape(len(x), -1, *x.shape[2:])
    return x + layer.gain * project(layer.out, attended)


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (1, 8), (16, 24)])
def test_equals_the_explicit_softmax(size):
    layer = attention().double()
    x = torch.randn(2, 16, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    ours, plain = layer(x), explicit(layer, x)
    torch.testing.assert_close(ours, plain, atol=1e-10, rtol=0)
    inputs = [x, *layer.parameters()]
    ours_grads = torch.autograd.grad((ours * weight).sum(), inputs)
    plain_grads = torch.autograd.grad((plain * weight).sum(), inputs)
    for a, b in zip(ours_grads, plain_grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


def test_widths_and_normalisation():
    layer = NonLocalAttention(64)
    shapes = [tuple(c.weight.shape) for c in (layer.query, layer.key, layer.value, layer.out)]
    assert shapes == [(8, 64, 1, 1), (8, 64, 1, 1), (32, 64, 1, 1), (64, 32, 1, 1)]
    for conv in (layer.query, layer.key, layer.value, layer.out):
        assert conv.bias is None
        for _ in range(30):
            conv.weight  # noqa: B018
        largest = torch.linalg.svdvals(conv.weight.detach().flatten(1))[0].item()
        assert largest == pytest.approx(1, abs=0.02)


def test_is_the_identity_at_the_start_but_learns():
    layer = NonLocalAttention(8)
    x = torch.randn(1, 8, 4, 4)
    out = layer(x)
    assert torch.equal(out, x)
    (out * torch.randn_like(out)).sum().backward()
    assert layer.gain.grad.abs() > 0


def test_softmax_is_in_float32_under_autocast():
    layer = attention()
    x = torch.randn(1, 16, 6, 8) * 20
    seen = []
    layer.out.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
        queries, keys, values = layer.query(x), layer.key(x), layer.value(x)
    assert queries.dtype is torch.bfloat16
    logits = queries.double().flatten(2).transpose(1, 2) @ halved(keys.double()).flatten(2)
    attended = halved(values.double()).flatten(2) @ logits.softmax(2).transpose(1, 2)
    expected = attended.reshape(1, 8, 6, 8).float()
    torch.testing.assert_close(seen[0], expected, atol=1e-4, rtol=1e-4)
