"""Spectral normalisation without a copy of every normalised weight.

Miyato et al., ICLR 2018: the weight W, one row an output channel, is divided by an estimate of its
largest singular value, sigma = u^T W v, in which the singular vectors u and v are constants. With G
the gradient of W / sigma, that of W is

    G / sigma - (<G, W> / sigma^2) u v^T,

since d sigma = u^T dW v. Autograd keeps each convolution's normalised weight for its backward pass
and walks over the weights some ten times; here W itself is kept, a parameter that is there anyway,
the factor 1 / sigma goes to the smaller of weight and output, and the gradient is finished in
place.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.ops.conv import Sizes, convolution_gradients, convolved
from mcltoolkit.precision import autocast_dtype, without_autocast

_EPS = 1e-12
_LOW = (torch.float16, torch.bfloat16)


@torch.no_grad()
def power_iteration(weight: Tensor, u: Tensor, v: Tensor, iterations: int = 1) -> Tensor:
    """Bring the singular vectors up to date, in place: u = W v, v = W^T u, each of length 1.

    Args:
        weight: (out, in, h, w), or any shape with out rows.
        u: (out,).
        v: (in * h * w,).
        iterations: >= 1.

    Returns:
        sigma = u^T W v without dimensions, at least 1e-12: the length of the last W^T u.
    """
    matrix, order = _matrix(weight)
    columns = _reordered(v, order)
    sigma = u.new_zeros(())
    for _ in range(iterations):
        _normalise(torch.mv(matrix, columns, out=u))
        columns = torch.mv(matrix.t(), u)
        sigma = _normalise(columns)
    v.copy_(_restored(columns, order))
    return sigma


def _normalise(x: Tensor) -> Tensor:
    """Make the length of a vector 1, in place; returns what it was, at least 1e-12."""
    length = torch.linalg.vector_norm(x).clamp_min_(_EPS)
    x.div_(length)
    return length


@torch.no_grad()
def spectral_value(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """sigma = u^T W v, without dimensions."""
    matrix, order = _matrix(weight)
    return torch.dot(u, torch.mv(matrix, _reordered(v, order)))


def spectral_weight(weight: Tensor, u: Tensor, v: Tensor, sigma: Tensor | None = None) -> Tensor:
    """W / sigma, with the gradient of W through sigma too. First derivative only.

    Args:
        weight, u, v: as in `power_iteration`; the vectors may be changed in place afterwards.
        sigma: u^T W v, where it is known.
    """
    sigma = spectral_value(weight, u, v) if sigma is None else sigma
    if torch.compiler.is_compiling():
        return weight / sigma
    result: Tensor = _Divide.apply(weight, u, v, sigma)
    return result


def spectral_conv2d(
    x: Tensor,
    weight: Tensor,
    u: Tensor,
    v: Tensor,
    sigma: Tensor | None = None,
    bias: Tensor | None = None,
    stride: Sizes = (1, 1),
    padding: Sizes = (0, 0),
    dilation: Sizes = (1, 1),
) -> Tensor:
    """`conv2d(x, W / sigma, bias, stride, padding, dilation)`. First derivative only.

    Under autocast the weight is normalised in full precision and convolved in autocast's.

    Args:
        x: (B, in, H, W).
        weight, u, v, sigma: see `spectral_weight`.
        bias: (out,) or None.
    """
    sigma = spectral_value(weight, u, v) if sigma is None else sigma
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return convolved(x, weight, bias, stride, padding, dilation, sigma)
    low = autocast_dtype(x)
    result: Tensor = _Convolve.apply(x, weight, u, v, sigma, bias, stride, padding, dilation, low)
    return result


class _Divide(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
        ctx.save_for_backward(weight, u.clone(), v.clone(), sigma)
        return weight / sigma

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, u, v, sigma = ctx.saved_tensors
        return _through_sigma(grad / sigma, weight, u, v, sigma), None, None, None


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        u: Tensor,
        v: Tensor,
        sigma: Tensor,
        bias: Tensor | None,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
        low: torch.dtype,
    ) -> Tensor:
        ctx.x_dtype = x.dtype
        with without_autocast(x):
            x = x.to(low)
            if x.dtype in _LOW:
                # a weight that is not normalised may be too small for half precision
                shift = None if bias is None else bias.to(x.dtype)
                scaled = (weight / sigma).to(x.dtype)
                out = F.conv2d(x, scaled, shift, stride, padding, dilation)
            elif _outputs(x, weight, stride) < weight.numel():
                out = convolved(x, weight, None, stride, padding, dilation)
                out.div_(sigma)
                if bias is not None:
                    out.add_(bias.view(-1, 1, 1))
            else:
                out = convolved(x, weight, bias, stride, padding, dilation, sigma)
        # for the gradient of x, the map itself is not needed
        kept = x if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(kept, weight, u.clone(), v.clone(), sigma)
        ctx.x_like = (x.shape, x.dtype, x.device)
        ctx.settings = (stride, padding, dilation)
        ctx.bias_dtype = None if bias is None else bias.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, u, v, sigma = ctx.saved_tensors
        for_x, for_weight, *_, for_bias = ctx.needs_input_grad[:6]
        stride, padding, dilation = ctx.settings
        size, dtype, device = ctx.x_like
        if x is None:  # a tensor of its shape that takes no memory
            x = torch.empty(1, dtype=dtype, device=device).expand(size)
        dbias = grad.sum((0, 2, 3), dtype=ctx.bias_dtype) if for_bias else None
        with without_autocast(grad):
            if dtype in _LOW:
                scaled = (weight / sigma).to(dtype)
                dx, dweight = convolution_gradients(
                    grad, x, scaled, stride, padding, dilation, for_x, for_weight
                )
                dweight = None if dweight is None else dweight.to(weight.dtype).div_(sigma)
            else:
                dx, dweight = convolution_gradients(
                    grad, x, weight, stride, padding, dilation, for_x, for_weight, sigma
                )
            if dweight is not None:
                dweight = _through_sigma(dweight, weight, u, v, sigma)
        if dx is not None:
            dx = dx.to(ctx.x_dtype)
        return dx, dweight, None, None, None, dbias, None, None, None, None


def _through_sigma(grad: Tensor, weight: Tensor, u: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
    """`grad`, the gradient over sigma, less its part through sigma; changes `grad`."""
    if grad.stride() != weight.stride():
        grad = torch.empty_like(weight).copy_(grad)
    matrix, order = _matrix(weight)
    grads, _ = _matrix(grad)
    part = torch.dot(grads.reshape(-1), matrix.reshape(-1)) / sigma
    grads.addr_(u * part, _reordered(v, order), alpha=-1)
    return grad


def _matrix(weight: Tensor) -> tuple[Tensor, tuple[int, int, int] | None]:
    """The weight as a matrix that shares its memory, and the sizes (in, h, w) of its columns where
    memory has channels last: they are in the order (h, w, in) then."""
    if weight.is_contiguous() or weight.dim() != 4:
        return weight.flatten(1), None
    if weight.is_contiguous(memory_format=torch.channels_last):
        sizes = (weight.shape[1], weight.shape[2], weight.shape[3])
        return weight.permute(0, 2, 3, 1).flatten(1), sizes
    return weight.flatten(1), None


def _reordered(v: Tensor, sizes: tuple[int, int, int] | None) -> Tensor:
    return v if sizes is None else v.view(sizes).permute(1, 2, 0).reshape(-1)


def _restored(columns: Tensor, sizes: tuple[int, int, int] | None) -> Tensor:
    if sizes is None:
        return columns
    channels, height, width = sizes
    return columns.view(height, width, channels).permute(2, 0, 1).reshape(-1)


def _outputs(x: Tensor, weight: Tensor, stride: Sizes) -> int:
    """About how many values the convolution gives."""
    positions = x.shape[0] * x.shape[2] * x.shape[3] // (stride[0] * stride[1])
    return positions * weight.shape[0]
