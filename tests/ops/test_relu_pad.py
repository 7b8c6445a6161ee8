import numpy as np
import pytest
import torch

from benchmarks.plain.relu_pad import relu_reflect_pad as plain
from mcltoolkit import ops

FORMS = (torch.contiguous_format, torch.channels_last)
WIDTHS = (2, 5, 3)


@pytest.mark.parametrize("given", FORMS)
@pytest.mark.parametrize("wanted", FORMS)
@pytest.mark.parametrize(("pad", "size"), [(0, (3, 4)), (1, (2, 5)), (2, (6, 3))])
def test_groups_and_gradients_are_the_plain_ones(given, wanted, pad, size):
    x = torch.randn(2, sum(WIDTHS), *size, dtype=torch.float64).contiguous(memory_format=given)
    x[0, 0, 0, 0] = 0
    x.requires_grad_()
    found, expected = ops.relu_reflect_pad(x, WIDTHS, pad, wanted), plain(x, WIDTHS, pad)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
        assert one.is_contiguous(memory_format=wanted)
    upstream = [torch.randn_like(group) for group in expected]
    mine, theirs = (torch.autograd.grad(groups, x, upstream)[0] for groups in (found, expected))
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert mine.is_contiguous(memory_format=given)


def test_the_padding_is_numpy_s():
    x = torch.randn(1, 2, 4, 5)
    (found,) = ops.relu_reflect_pad(x, [2], 2)
    width = [(0, 0), (0, 0), (2, 2), (2, 2)]
    np.testing.assert_array_equal(found, np.pad(x.clamp(min=0).numpy(), width, mode="reflect"))


def test_only_what_it_returns_is_kept():
    kept = []
    x = torch.randn(1, 4, 5, 5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        groups = ops.relu_reflect_pad(x, [1, 3], 1)
    assert [t.data_ptr() for t in kept] == [g.data_ptr() for g in groups]
