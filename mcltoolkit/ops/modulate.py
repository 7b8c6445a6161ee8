"""Normalise, scale and shift at each position, activate: the arithmetic of SPADE in one function.

SPADE: Park et al., CVPR 2019; positional norm: Li et al., NeurIPS 2019. Autograd keeps a map for
each step of

    n = (x - mean) * rstd,   y = n * (1 + gamma) + beta,   out = LeakyReLU(y)

and this function keeps x, gamma, one byte an element for the sign of y, and mean and rstd, which
have one value a position. With C channels, g the gradient at y and d = g * (1 + gamma) the one at n:

    dbeta = g,   dgamma = g * n,
    dx = rstd * (d - mean(d) - n * sum(d * n) / (C - 1)),

mean and sum over channels; C - 1 because the variance is the unbiased one: its derivative by x is
2 (x - mean) / (C - 1). The work is done in blocks of rows that fit a processor's cache, each of
which goes through all steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

MODULATED = ("pono", "none")
# values in a block on the CPU: a few of them in float32 fit a core's share of the cache
BLOCK = 1 << 18
Rows = tuple[Any, ...]


def modulate(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor | None = None,
    norm: str = "pono",
    eps: float = 1e-5,
    slope: float | None = None,
) -> Tensor:
    """LeakyReLU(norm(x) * (1 + gamma) + beta).

    Computed in float32 or better. It has a first derivative only.

    Args:
        x: features (B, C, H, W).
        gamma: (B, C, H, W), or (B, 2C, H, W) with the shift in its second half, as one convolution
            gives both; `beta` is None then.
        beta: (B, C, H, W), of the dtype of `gamma`.
        norm: 'pono' (over the channels of each position, unbiased variance; C >= 2), or 'none'
            where x is normalised already.
        eps: added to the variance.
        slope: >= 0, of the LeakyReLU; None leaves it out.

    Returns:
        (B, C, H, W), of the dtype that x and gamma promote to.

    Raises:
        ValueError: a norm or slope that is not allowed, or shapes that do not fit.
    """
    if norm not in MODULATED:
        raise ValueError(f"norm is {norm!r}; allowed are {', '.join(MODULATED)}")
    if slope is not None and slope < 0:
        raise ValueError(f"slope is {slope}; allowed is None, 0 or more")
    factor = 2 if beta is None else 1
    expected = torch.Size((x.shape[0], factor * x.shape[1], *x.shape[2:]))
    if gamma.shape != expected or (beta is not None and beta.shape != expected):
        found = [tuple(t.shape) for t in (gamma, beta) if t is not None]
        raise ValueError(f"scale and shift are {found}, expected {tuple(expected)} for these x")
    if torch.compiler.is_compiling():  # who takes a graph fuses it, and wants no blocks in it
        return _plain(x, gamma, beta, norm == "pono", eps, slope)
    result: Tensor = _Modulate.apply(x, gamma, beta, norm == "pono", eps, slope)
    return result


class _Modulate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor | None,
        normalise: bool,
        eps: float,
        slope: float | None,
    ) -> Tensor:
        scale, shift = _halves(gamma, beta)
        out = torch.empty_like(x, dtype=torch.promote_types(x.dtype, gamma.dtype))
        positive = mean = rstd = None
        if slope is not None and any(ctx.needs_input_grad):
            positive = torch.empty_like(x, dtype=torch.bool)
        if normalise:
            mean, rstd = x.new_empty((2, x.shape[0], 1, *x.shape[2:]), dtype=_full(x))
        for rows in _blocks(x):
            block = x[rows].to(_full(x))
            if mean is not None and rstd is not None:
                block, mean[rows], rstd[rows] = _positional(block, eps)
            y = torch.addcmul(block, block, scale[rows].to(block.dtype)).add_(shift[rows])
            if positive is not None:
                torch.gt(y, 0, out=positive[rows])
            out[rows] = y if slope is None else F.leaky_relu_(y, slope)
        # a half of a map would keep all of it
        ctx.save_for_backward(x, scale.clone() if beta is None else scale, positive, mean, rstd)
        ctx.slope, ctx.merged = slope, beta is None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, positive, mean, rstd = ctx.saved_tensors
        for_x, for_gamma, for_beta = ctx.needs_input_grad[:3]
        channels = x.shape[1]
        dx = torch.empty_like(x) if for_x else None
        both = dgamma = dbeta = None
        if ctx.merged and for_gamma:
            both = _wide(x, 2 * channels, gamma.dtype)
            dgamma, dbeta = both[:, :channels], both[:, channels:]
        else:
            dgamma = torch.empty_like(x, dtype=gamma.dtype) if for_gamma else None
            dbeta = torch.empty_like(x, dtype=gamma.dtype) if for_beta else None
        for rows in _blocks(x):
            g = grad[rows].to(_full(x))
            if positive is not None:
                g = torch.where(positive[rows], g, g * ctx.slope)
            if dbeta is not None:
                dbeta[rows] = g
            normal = x[rows].to(_full(x))
            if mean is not None:
                normal = (normal - mean[rows]).mul_(rstd[rows])
            if dgamma is not None:
                dgamma[rows] = g * normal
            if dx is not None:
                d = torch.addcmul(g, g, gamma[rows].to(g.dtype))
                if mean is not None:
                    projection = (d * normal).sum(1, keepdim=True).div_(channels - 1)
                    d.sub_(d.mean(1, keepdim=True)).sub_(normal.mul_(projection)).mul_(rstd[rows])
                dx[rows] = d
        return dx, both if ctx.merged else dgamma, None if ctx.merged else dbeta, None, None, None


def _plain(
    x: Tensor, gamma: Tensor, beta: Tensor | None, normalise: bool, eps: float, slope: float | None
) -> Tensor:
    scale, shift = _halves(gamma, beta)
    full = x.to(_full(x))
    if normalise:
        full = _positional(full, eps)[0]
    y = torch.addcmul(full, full, scale.to(full.dtype)) + shift
    if slope is not None:
        y = F.leaky_relu(y, slope)
    return y.to(torch.promote_types(x.dtype, gamma.dtype))


def _positional(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised map, mean and 1 / deviation. Mean first, then squares: as exact as `var_mean`,
    which is slow over a dimension that is not the innermost one."""
    mean = x.mean(1, keepdim=True)
    centred = x - mean
    var = centred.square().sum(1, keepdim=True).div_(x.shape[1] - 1)
    rstd = var.add_(eps).rsqrt_()
    return centred.mul_(rstd), mean, rstd


def _halves(gamma: Tensor, beta: Tensor | None) -> tuple[Tensor, Tensor]:
    if beta is not None:
        return gamma, beta
    scale, shift = gamma.chunk(2, dim=1)
    return scale, shift


def _full(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _wide(x: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """An empty map of that many channels, in the memory format of `x`."""
    form = torch.channels_last if _is_channels_last(x) else torch.contiguous_format
    size = (x.shape[0], channels, *x.shape[2:])
    return torch.empty(size, dtype=dtype, device=x.device, memory_format=form)


def _is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _blocks(x: Tensor) -> Iterator[Rows]:
    """Indices of blocks of rows; an accelerator takes all in one."""
    batch, channels, height, width = x.shape
    if x.device.type != "cpu":
        yield (slice(None),)
        return
    rows = max(BLOCK // max(channels * width, 1), 1)
    for sample in range(batch):
        for top in range(0, height, rows):
            yield (slice(sample, sample + 1), slice(None), slice(top, top + rows))
