import pytest
import torch

from benchmarks.plain import activations as plain
from mcltoolkit import ops

FORMS = (torch.contiguous_format, torch.channels_last)


def both(function, reference, x):
    outs = [f(x) for f in (function, reference)]
    weights = torch.randn_like(outs[0])
    return [(out.detach(), torch.autograd.grad((out * weights).sum(), x)[0]) for out in outs]


def kept_besides(out, function, *inputs):
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        result = function(*inputs)
    kept.pop(result.untyped_storage().data_ptr())
    return sum(kept.values())


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_leaky_relu_is_torch_s(slope):
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    found, wanted = both(
        lambda x: ops.leaky_relu(x, slope), lambda x: plain.leaky_relu(x, slope), x
    )
    assert torch.equal(found[0], wanted[0])
    assert torch.equal(found[1], wanted[1])
    assert kept_besides(x, lambda x: ops.leaky_relu(x, slope), x) == 0


@pytest.mark.parametrize("slope", [None, 0.0, 0.01, 0.2])
@pytest.mark.parametrize("form", FORMS)
def test_instance_norm_is_the_plain_formula(slope, form):
    x = (torch.randn(2, 3, 6, 5) * 3 + 2).contiguous(memory_format=form).requires_grad_()
    found, wanted = both(
        lambda x: ops.instance_norm(x, slope=slope),
        lambda x: plain.instance_norm(x, slope=slope),
        x,
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert found[0].is_contiguous(memory_format=form)
    kept = kept_besides(x, lambda x: ops.instance_norm(x, slope=slope), x)
    assert kept <= 2 * 3 * 4 + (x.nbytes if slope == 0 else 0)


@pytest.mark.parametrize("slope", [None, 0.2])
def test_instance_norm_gradient(slope):
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: ops.instance_norm(x, slope=slope), x)


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_half_precision_is_normalised_in_float32(low):
    x = (torch.randn(2, 3, 8, 8) + 30).to(low).requires_grad_()
    full = x.detach().float().requires_grad_()
    weights = torch.randn(x.shape).to(low)
    out, expected = ops.instance_norm(x, slope=0.2), plain.instance_norm(full, slope=0.2)
    assert out.dtype is low
    torch.testing.assert_close(out.float(), expected, atol=1e-2, rtol=1e-2)
    (found,) = torch.autograd.grad((out * weights).sum(), x)
    (wanted,) = torch.autograd.grad((expected * weights.float()).sum(), full)
    assert found.dtype is low
    assert (found.float() - wanted).norm() < 0.02 * wanted.norm()


@pytest.mark.parametrize("function", [ops.leaky_relu, ops.instance_norm])
def test_a_negative_slope_is_refused(function):
    with pytest.raises(ValueError, match="slope is -1; allowed"):
        function(torch.ones(1, 1, 2, 2), slope=-1)
