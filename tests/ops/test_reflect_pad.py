import numpy as np
import pytest
import torch

from benchmarks.plain.reflect_pad import reflect_pad as plain
from mcltoolkit import ops
from mcltoolkit.ops.reflect_pad import fill_border

FORMS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize("pad", [0, 1, 2])
@pytest.mark.parametrize("size", [(3, 3), (4, 7)])
@pytest.mark.parametrize("form", FORMS)
def test_values_and_gradients_are_the_plain_ones(pad, size, form):
    x = torch.randn(2, 3, *size, dtype=torch.float64).contiguous(memory_format=form)
    x.requires_grad_()
    out = ops.reflect_pad(x, pad)
    expected = np.pad(x.detach().numpy(), [(0, 0), (0, 0), (pad, pad), (pad, pad)], mode="reflect")
    np.testing.assert_array_equal(out.detach().numpy(), expected)
    weights = torch.randn(out.shape, dtype=torch.float64)
    (found,) = torch.autograd.grad((out * weights).sum(), x)
    (wanted,) = torch.autograd.grad((plain(x, pad) * weights).sum(), x)
    torch.testing.assert_close(found, wanted)


def test_nothing_is_kept():
    kept = []
    x = torch.randn(1, 2, 5, 5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        ops.reflect_pad(x, 2)
    assert kept == []


def test_a_border_is_filled_in_place():
    x = torch.randn(2, 3, 9, 8)
    inner = x[..., 2:-2, 2:-2].clone()
    fill_border(x, 2)
    assert torch.equal(x, plain(inner, 2))
