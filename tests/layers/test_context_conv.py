import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.context import Context, OneHot
from mcltoolkit.layers import Conv
from mcltoolkit.layers.context_conv import context_conv2d

CLASSES = 12


def pieces(batch=2, size=(7, 9), images=None):
    ids = torch.randint(0, CLASSES, (batch, *size))
    image = torch.randn(images or batch, 3, *size, dtype=torch.float64, requires_grad=True)
    one_hot = F.one_hot(ids, CLASSES).permute(0, 3, 1, 2).double()
    return image, OneHot(ids, CLASSES), one_hot


@pytest.mark.parametrize("size", [(7, 9), (1, 2)])  # the second is reflected more than once
@pytest.mark.parametrize("reflect", [0, 2])
def test_pieces_make_the_dense_convolution(size, reflect):
    image, held, one_hot = pieces(size=size)
    conv = Conv(2 * 3 + CLASSES, 4, 3, padding=1, reflect=reflect).double()
    inputs = (image, conv.weight, conv.bias)
    found = conv(Context([image, held, image]))
    expected = conv(torch.cat([image, one_hot, image], 1))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    upstream = torch.randn_like(expected)
    for one, other in zip(
        *(torch.autograd.grad(out, inputs, upstream) for out in (found, expected)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("first", [True, False])
def test_a_piece_of_fewer_samples_counts_for_each_group(first):
    image, held, one_hot = pieces(images=6)
    weight = torch.randn(4, 3 + CLASSES, 3, 3, dtype=torch.float64, requires_grad=True)
    given = [held, image] if first else [image, held]
    dense = [one_hot.repeat(3, 1, 1, 1), image] if first else [image, one_hot.repeat(3, 1, 1, 1)]
    found = context_conv2d(Context(given), weight, stride=2, padding=1)
    expected = F.conv2d(torch.cat(dense, 1), weight, stride=2, padding=1)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    gradients = (torch.autograd.grad(out.square().sum(), weight)[0] for out in (found, expected))
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)
