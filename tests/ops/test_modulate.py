import importlib
from itertools import product

import pytest
import torch

from benchmarks.plain.modulate import modulate as plain
from mcltoolkit import ops

module = importlib.import_module("mcltoolkit.ops.modulate")
CASES = list(product(("pono", "none"), (None, 0.2, 0.0), (0, 1, 2)))
FORMS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 64)


def inputs(dtype=torch.float32, size=(2, 6, 5, 7), form=torch.contiguous_format):
    return [
        torch.randn(size, dtype=dtype).contiguous(memory_format=form).requires_grad_()
        for _ in range(3)
    ]


def padded_noise(x, pad):
    batch, channels, height, width = x.shape
    return torch.randn(batch, channels, height + 2 * pad, width + 2 * pad)


def gradients(function, values, weights, **settings):
    out = function(*values, **settings)
    return out.detach(), torch.autograd.grad((out * weights).sum(), values)


@pytest.mark.parametrize(("norm", "slope", "pad"), CASES)
@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_plain_formula(norm, slope, pad, form):
    values = inputs(form=form)
    weights = padded_noise(values[0], pad)
    settings = {"norm": norm, "slope": slope, "pad": pad}
    out, found = gradients(ops.modulate, values, weights, **settings)
    expected, wanted = gradients(plain, values, weights, **settings)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert out.is_contiguous(memory_format=form)
    assert all(g.is_contiguous(memory_format=form) for g in found)


@pytest.mark.parametrize(("norm", "slope", "pad"), CASES)
@pytest.mark.parametrize("form", FORMS)
def test_scale_and_shift_in_one_map(norm, slope, pad, form):
    x, gamma, beta = inputs(form=form)
    both = torch.cat([gamma, beta], 1).detach().requires_grad_()
    weights = padded_noise(x, pad)
    out, found = gradients(ops.modulate, (x, both), weights, norm=norm, slope=slope, pad=pad)
    expected, wanted = gradients(plain, (x, gamma, beta), weights, norm=norm, slope=slope, pad=pad)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[0], wanted[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], torch.cat(wanted[1:], 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("norm", "slope", "pad"), CASES)
def test_gradient(norm, slope, pad):
    values = inputs(torch.float64, (2, 3, 3, 4))
    assert torch.autograd.gradcheck(
        lambda *v: ops.modulate(*v, norm=norm, slope=slope, pad=pad), values
    )


@pytest.mark.parametrize("asked", [(0,), (1,), (2,), (1, 2)])
def test_gradients_that_nobody_asks_for(asked):
    values = [v.detach().requires_grad_(i in asked) for i, v in enumerate(inputs())]
    wanted = [values[i] for i in asked]
    weights = torch.randn(values[0].shape)
    found = torch.autograd.grad((ops.modulate(*values, slope=0.2) * weights).sum(), wanted)
    expected = torch.autograd.grad((plain(*values, slope=0.2) * weights).sum(), wanted)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_large_mean_costs_its_own_digits_alone():
    x, gamma, beta = inputs()
    x = x.detach() + 1000
    exact = plain(x.double(), gamma.double(), beta.double()).float()
    torch.testing.assert_close(ops.modulate(x, gamma, beta), exact, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_half_precision_computes_in_float32(low):
    values = [v.to(low).detach().requires_grad_() for v in inputs()]
    full = [v.detach().float().requires_grad_() for v in values]
    weights = torch.randn(values[0].shape)
    out, found = gradients(ops.modulate, values, weights.to(low), slope=0.2)
    expected, wanted = gradients(plain, full, weights.to(low).float(), slope=0.2)
    assert out.dtype is low
    torch.testing.assert_close(out, expected.to(low), rtol=2e-2, atol=1e-3)
    for grad, other in zip(found, wanted, strict=True):
        assert grad.dtype is low
        torch.testing.assert_close(grad, other.to(low), rtol=2e-2, atol=1e-2)
    mixed = ops.modulate(full[0], values[1], values[2])
    assert mixed.dtype is torch.float32


def test_what_is_kept_for_backward_is_small():
    x, gamma, beta = inputs(size=(1, 8, 32, 32))
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out = ops.modulate(x, torch.cat([gamma, beta], 1), slope=0.2, pad=1)
    for tensor in (x, out):  # kept by others anyway
        kept.pop(tensor.untyped_storage().data_ptr())
    assert sum(kept.values()) == gamma.nbytes + 2 * 4 * 32 * 32  # gamma, moments


def test_an_exported_graph_has_no_blocks():
    class Layer(torch.nn.Module):
        def forward(self, x, gamma, beta):
            return ops.modulate(x, gamma, beta, slope=0.2, pad=1)

    values = tuple(v.detach() for v in inputs())
    batch = torch.export.Dim("batch", min=1)
    sizes = ({0: batch},) * 3
    program = torch.export.export(Layer(), values, dynamic_shapes=sizes, strict=False)
    assert len(program.graph.nodes) < 40
    others = tuple(v.detach() for v in inputs(size=(3, 6, 5, 7)))
    torch.testing.assert_close(program.module()(*others), plain(*others, slope=0.2, pad=1))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"norm": "batch"}, "allowed are pono, none"),
        ({"slope": -0.1}, "allowed is None, 0 or"),
        ({"pad": 5}, "0 to less than 5"),
    ],
)
def test_settings_that_are_not_allowed(settings, said):
    with pytest.raises(ValueError, match=said):
        ops.modulate(*inputs(), **settings)


def test_shapes_that_do_not_fit():
    x, gamma, beta = inputs()
    with pytest.raises(ValueError, match=r"expected \(2, 12, 5, 7\)"):
        ops.modulate(x, gamma)
    with pytest.raises(ValueError, match=r"expected \(2, 6, 5, 7\)"):
        ops.modulate(x, gamma, beta[:1])
