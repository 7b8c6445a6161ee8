import numpy as np
import pytest
import torch

from mcltoolkit.layers import reflect_pad


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (4, 7)])
@pytest.mark.parametrize("pad", [0, 1, 2, 4])
def test_equals_numpy_at_every_size(size, pad):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = np.pad(x.numpy(), [(0, 0), (0, 0), (pad, pad), (pad, pad)], mode="reflect")
    np.testing.assert_array_equal(reflect_pad(x, pad).numpy(), expected)


def test_gradient_counts_how_often_a_pixel_is_used():
    x = torch.zeros(1, 1, 1, 1, requires_grad=True)
    reflect_pad(x, 2).sum().backward()
    assert x.grad.item() == 25
