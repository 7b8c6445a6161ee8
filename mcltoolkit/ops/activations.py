"""LeakyReLU, alone and after instance norm, that keeps its result and not what it came from.

The convolution that follows keeps that result anyway, so it costs no memory. Both can be undone:
the sign of the result is that of the input, and dividing by the slope where it is negative gives
the normalised map n, from which instance norm's gradient follows,

    dx = rstd * (d - mean(d) - n * mean(d * n)),

d being the gradient at n and the means over positions (Rota Bulo et al., In-place activated batch
norm, CVPR 2018). rstd is one value a channel and sample.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.precision import full_precision


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """x where it is positive, `slope` * x elsewhere. First derivative only.

    Args:
        x: any shape; not changed.
        slope: >= 0.

    Raises:
        ValueError: a negative slope.
    """
    _check(slope)
    if torch.compiler.is_compiling():
        return F.leaky_relu(x, slope)
    result: Tensor = _LeakyReLU.apply(x, slope)
    return result


def instance_norm(x: Tensor, eps: float = 1e-5, slope: float | None = None) -> Tensor:
    """LeakyReLU((x - mean) / sqrt(var + eps)), moments over the positions of each channel of each
    sample (biased variance). First derivative only.

    Computed in float32 or better.

    Args:
        x: (B, C, H, W), H * W > 1.
        eps: added to the variance.
        slope: >= 0, of the LeakyReLU; None leaves it out.

    Returns:
        The shape and dtype of `x`.

    Raises:
        ValueError: a negative slope.
    """
    _check(slope)
    if torch.compiler.is_compiling():
        normal = F.instance_norm(x.to(full_precision(x)), eps=eps).to(x.dtype)
        return normal if slope is None else F.leaky_relu(normal, slope)
    if slope == 0:  # cannot be undone
        return F.relu(instance_norm(x, eps))
    result: Tensor = _InstanceNorm.apply(x, eps, slope)
    return result


class _LeakyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float) -> Tensor:
        out = F.leaky_relu(x, slope)
        ctx.save_for_backward(out)
        ctx.slope = slope
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (out,) = ctx.saved_tensors
        return torch.ops.aten.leaky_relu_backward(grad, out, ctx.slope, True), None


class _InstanceNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, slope: float | None) -> Tensor:
        full = x.to(full_precision(x))
        # mean first, then squares: as exact as `var_mean`, and several times as fast
        normal = full - full.mean((2, 3), keepdim=True)
        rstd = normal.square().mean((2, 3), keepdim=True).add_(eps).rsqrt_()
        normal.mul_(rstd)
        if slope is not None:
            F.leaky_relu_(normal, slope)
        out = normal.to(x.dtype)
        ctx.save_for_backward(out, rstd)
        ctx.slope = slope
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        out, rstd = ctx.saved_tensors
        d, normal = grad.to(rstd.dtype), out.to(rstd.dtype)
        if ctx.slope is not None:
            d = torch.ops.aten.leaky_relu_backward(d, normal, ctx.slope, True)
            normal = F.leaky_relu(normal, 1 / ctx.slope)
        projection = (d * normal).mean((2, 3), keepdim=True)
        dx = (d - d.mean((2, 3), keepdim=True)).addcmul_(normal, projection, value=-1).mul_(rstd)
        return dx.to(out.dtype), None, None


def _check(slope: float | None) -> None:
    if slope is not None and slope < 0:
        raise ValueError(f"slope is {slope}; allowed is None, 0 or more")
