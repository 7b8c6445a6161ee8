"""Convolution by the way that takes least time: `torch`'s own, or fewer multiplications on CPUs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.ops import winograd
from mcltoolkit.precision import autocast_dtype

Sizes = tuple[int, ...]
ONE, NONE = (1, 1), (0, 0)


class _Choice:
    """What may be chosen, for the whole process, as torch's own backends have it."""

    winograd = True


def allow_winograd(allowed: bool) -> bool:
    """Whether float32 convolutions on CPUs may take fewer multiplications, see `winograd`; their
    rounding is about 6 times that of torch's. Default: they may.

    Returns:
        What was allowed before.
    """
    before, _Choice.winograd = _Choice.winograd, allowed
    return before


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = ONE,
    padding: Sizes = NONE,
    dilation: Sizes = ONE,
) -> Tensor:
    """`F.conv2d`, of the same precision and under the same autocast.

    3 x 3 convolutions of many channels in float32 on CPUs go through `winograd`, not their second
    derivative. Accelerators' libraries choose for themselves.

    Args:
        x: (B, C, H, W).
        weight: (K, C, h, w).
        bias: (K,) or None.

    Returns:
        (B, K, H', W').
    """
    if not by_winograd(x, weight, stride, padding, dilation):
        return F.conv2d(x, weight, bias, stride, padding, dilation)
    result: Tensor = _Winograd.apply(x, weight, bias, padding[0])
    return result


def by_winograd(x: Tensor, weight: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes) -> bool:
    """Whether `conv2d` takes that way."""
    if torch.compiler.is_compiling() or not _Choice.winograd or x.device.type != "cpu":
        return False
    if tuple(weight.shape[2:]) != (winograd.KERNEL,) * 2 or x.dim() != 4 or not x.numel():
        return False
    if tuple(stride) != ONE or tuple(dilation) != ONE or padding[0] != padding[1]:
        return False
    if not autocast_dtype(x) == x.dtype == weight.dtype == torch.float32:
        return False
    height, width = (n + 2 * padding[0] - 2 for n in x.shape[2:])
    channels = weight.shape[1], weight.shape[0]
    return winograd.fits(x.shape[2:], padding[0]) and winograd.pays(*channels, height * width)


def convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    divisor: Tensor | None = None,
) -> Tensor:
    """`conv2d` of `weight / divisor`, for functions that have their own backward pass, or none."""
    if by_winograd(x, weight, stride, padding, dilation):
        return winograd.convolve(x, weight, bias, padding[0], divisor)
    weight = weight if divisor is None else weight / divisor
    return F.conv2d(x, weight, bias, stride, padding, dilation)


def convolution_gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    for_x: bool,
    for_weight: bool,
    divisor: Tensor | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Of `convolved`, with respect to x and weight; None for what is not asked. The values of x are
    read for the weight's gradient alone, and the divisor counts as a constant."""
    if by_winograd(x, weight, stride, padding, dilation):
        return winograd.gradients(grad, x, weight, padding[0], for_x, for_weight, divisor)
    if divisor is not None:  # to the smaller side
        if grad.numel() > weight.numel():
            weight = weight / divisor
        else:
            grad, divisor = grad / divisor, None
    dx, dweight = _torchs_gradients(grad, x, weight, stride, padding, dilation, for_x, for_weight)
    if dweight is not None and divisor is not None:
        dweight.div_(divisor)
    return dx, dweight


def _torchs_gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    for_x: bool,
    for_weight: bool,
) -> tuple[Tensor | None, Tensor | None]:
    asked = [for_x, for_weight, False]
    dx, dweight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, False, NONE, 1, asked
    )
    return dx, dweight


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        # for the gradient of x, the map itself is not needed
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        ctx.size, ctx.padding = x.shape, padding
        return winograd.convolve(x, weight, bias, padding)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        x = grad.new_empty(1).expand(ctx.size) if x is None else x
        dbias = grad.sum((0, 2, 3)) if for_bias else None
        if torch.is_grad_enabled():  # the gradient is to be differentiated itself
            padding = (ctx.padding,) * 2
            dx, dweight = _torchs_gradients(grad, x, weight, ONE, padding, ONE, for_x, for_weight)
        else:
            dx, dweight = winograd.gradients(grad, x, weight, ctx.padding, for_x, for_weight)
        return dx, dweight, dbias, None
