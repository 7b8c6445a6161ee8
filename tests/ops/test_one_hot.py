import pytest
import torch
import torch.nn.functional as F

from benchmarks.plain import one_hot as plain
from mcltoolkit import ops

CLASSES = 7


def label_map(batch=2, size=(13, 10), classes=CLASSES):
    return torch.randint(0, classes, (batch, *size))


@pytest.mark.parametrize(("kernel", "stride"), [((3, 3), 1), ((4, 4), 2), ((1, 3), 1)])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_convolution_is_the_dense_one(kernel, stride, padding, dilation, dtype, near):
    ids = label_map()
    weight = torch.randn(5, CLASSES, *kernel, dtype=dtype, requires_grad=True)
    settings = (stride, padding, dilation)
    found = ops.one_hot_conv2d(ids, weight, *settings)
    expected = plain.one_hot_conv2d(ids, weight, *settings)
    torch.testing.assert_close(found, expected, rtol=near, atol=near)
    upstream = torch.randn_like(expected)
    gradients = (torch.autograd.grad(out, weight, upstream)[0] for out in (found, expected))
    torch.testing.assert_close(*gradients, rtol=near, atol=near)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_convolution_passes_gradcheck():
    weight = torch.randn(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    ids = label_map(1, (4, 5), 3)
    assert torch.autograd.gradcheck(lambda w: ops.one_hot_conv2d(ids, w, padding=1), weight)


def test_convolution_is_deterministic():
    weight = torch.randn(6, CLASSES, 3, 3, requires_grad=True)
    ids, upstream = label_map(2, (40, 40)), torch.randn(2, 6, 40, 40)

    def once():
        out = ops.one_hot_conv2d(ids, weight, padding=1)
        return out, *torch.autograd.grad(out, weight, upstream)

    for first, second in zip(once(), once(), strict=True):
        assert torch.equal(first, second)


def test_convolution_of_frozen_weights_has_no_graph():
    assert not ops.one_hot_conv2d(label_map(), torch.randn(5, CLASSES, 3, 3)).requires_grad


def test_convolution_under_autocast_sums_in_full_precision():
    weight, ids = torch.randn(5, CLASSES, 3, 3), label_map()
    full = ops.one_hot_conv2d(ids, weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = ops.one_hot_conv2d(ids, weight)
        assert half.dtype == F.conv2d(torch.ones(1, CLASSES, 4, 4), weight).dtype == torch.bfloat16
        assert ops.one_hot_conv2d(ids, weight.double()).dtype == torch.float64
    assert torch.equal(half, full.bfloat16())


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (1, 1), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pooling_is_the_dense_one_to_the_bit(size, dtype):
    ids = label_map(2, size)
    found = ops.one_hot_avg_pool2d(ids, CLASSES, dtype)
    assert torch.equal(found, plain.one_hot_avg_pool2d(ids, CLASSES, dtype))
    torch.testing.assert_close(found.sum(1), torch.ones_like(found[:, 0]))
