"""Normalise, scale and shift at each position, activate, pad: what SPADE computes, in one function.

SPADE: Park et al., CVPR 2019; positional norm: Li et al., NeurIPS 2019. Autograd keeps a map for
each step of

    n = (x - mean) * rstd,   y = n * (1 + gamma) + beta,   out = LeakyReLU(y)

and this function keeps x, gamma, its result for the signs of y, and mean and rstd, which have one
value a position. A convolution that follows keeps the result anyway, if it need not be padded
first: so the padding is done here. With C channels, g the gradient at y and d = g * (1 + gamma) the
one at n:

    dbeta = g,   dgamma = g * n,
    dx = rstd * (d - mean(d) - n * sum(d * n) / (C - 1)),

mean and sum over channels; C - 1 because the variance is the unbiased one: its derivative by x is
2 (x - mean) / (C - 1). The work is done in blocks of rows that fit a processor's cache, each of
which goes through all steps.

Where the channels of a position lie beside each other, torch's layer norm takes the norm and its
derivative in one pass each. Its variance v is the biased one, so that

    (x - mean) / sqrt(v C / (C - 1) + eps) = s (x - mean) / sqrt(v + s^2 eps),   s^2 = (C - 1) / C,

with s as the weight of all channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.ops.maps import memory_format_of
from mcltoolkit.ops.reflect_pad import fill_border, fold_border
from mcltoolkit.precision import full_precision

MODULATED = ("pono", "none")
# values in a block on the CPU: a few of them in float32 fit a core's share of the cache
BLOCK = 1 << 19
Rows = tuple[Any, ...]


def modulate(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor | None = None,
    norm: str = "pono",
    eps: float = 1e-5,
    slope: float | None = None,
    pad: int = 0,
) -> Tensor:
    """LeakyReLU(norm(x) * (1 + gamma) + beta), its border reflected.

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
        pad: pixels of reflection on every side of the result, less than H and W.

    Returns:
        (B, C, H + 2 pad, W + 2 pad), of the dtype that x and gamma promote to.

    Raises:
        ValueError: a norm, slope or padding that is not allowed, or shapes that do not fit.
    """
    if norm not in MODULATED:
        raise ValueError(f"norm is {norm!r}; allowed are {', '.join(MODULATED)}")
    if slope is not None and slope < 0:
        raise ValueError(f"slope is {slope}; allowed is None, 0 or more")
    if not 0 <= pad < min(x.shape[2:]):
        raise ValueError(f"pad is {pad}; allowed is 0 to less than {min(x.shape[2:])} for these x")
    factor = 2 if beta is None else 1
    expected = torch.Size((x.shape[0], factor * x.shape[1], *x.shape[2:]))
    if gamma.shape != expected or (beta is not None and beta.shape != expected):
        found = [tuple(t.shape) for t in (gamma, beta) if t is not None]
        raise ValueError(f"scale and shift are {found}, expected {tuple(expected)} for these x")
    if torch.compiler.is_compiling():  # who takes a graph fuses it, and wants no blocks in it
        return _plain(x, gamma, beta, norm == "pono", eps, slope, pad)
    result: Tensor = _Modulate.apply(x, gamma, beta, norm == "pono", eps, slope, pad)
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
        pad: int,
    ) -> Tensor:
        scale, shift = _halves(gamma, beta)
        padded = _empty(x, torch.promote_types(x.dtype, gamma.dtype), pad=pad)
        out = _inside(padded, pad)
        mean = rstd = None
        norm = _norm_of(x, eps)
        if normalise:
            mean, rstd = x.new_empty((2, x.shape[0], 1, *x.shape[2:]), dtype=full_precision(x))
        for rows in _blocks(x):
            block = x[rows].to(full_precision(x))
            if mean is not None and rstd is not None:
                block, mean[rows], rstd[rows] = norm.of(block)
            y = torch.addcmul(block, block, scale[rows].to(block.dtype))
            y = torch.add(y, shift[rows], out=out[rows])
            if slope is not None:
                F.leaky_relu_(y, slope)
        fill_border(padded, pad)
        # a half of a map would keep all of it
        scale = scale.clone() if beta is None else scale
        signs = None if slope is None else padded
        ctx.save_for_backward(x, scale, signs, mean, rstd)
        ctx.slope, ctx.pad, ctx.merged, ctx.norm = slope, pad, beta is None, norm
        return padded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, signs, mean, rstd = ctx.saved_tensors
        for_x, for_gamma, for_beta = ctx.needs_input_grad[:3]
        channels = x.shape[1]
        dx = torch.empty_like(x) if for_x else None
        both = dgamma = dbeta = None
        if ctx.merged and for_gamma:
            both = _empty(x, gamma.dtype, channels=2 * channels)
            dgamma, dbeta = both[:, :channels], both[:, channels:]
        else:
            dgamma = torch.empty_like(x, dtype=gamma.dtype) if for_gamma else None
            dbeta = torch.empty_like(x, dtype=gamma.dtype) if for_beta else None
        grad = fold_border(grad, ctx.pad)
        for rows in _blocks(x):
            g = grad[rows].to(full_precision(x))
            straight = dbeta if dbeta is not None and dbeta.dtype == g.dtype else None
            if signs is not None:
                result = _inside(signs, ctx.pad)[rows].to(g.dtype)
                there = torch.empty_like(g) if straight is None else straight[rows]
                g = torch.ops.aten.leaky_relu_backward.grad_input(
                    g, result, ctx.slope, True, grad_input=there
                )
            if dbeta is not None and (signs is None or straight is None):
                dbeta[rows] = g
            block = normal = x[rows].to(full_precision(x))
            if mean is not None:
                normal = ctx.norm.again(block, mean[rows], rstd[rows])
            if dgamma is not None:
                torch.mul(g, normal, out=dgamma[rows])
            if dx is not None:
                slope = gamma[rows].to(g.dtype)
                if mean is None:
                    torch.addcmul(g, g, slope, out=dx[rows])
                    continue
                d = torch.addcmul(g, g, slope)
                ctx.norm.gradient(d, block, normal, mean[rows], rstd[rows], out=dx[rows])
        if ctx.merged:
            dgamma, dbeta = both, None
        return dx, dgamma, dbeta, None, None, None, None


def _plain(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor | None,
    normalise: bool,
    eps: float,
    slope: float | None,
    pad: int,
) -> Tensor:
    scale, shift = _halves(gamma, beta)
    full = x.to(full_precision(x))
    if normalise:
        centred = full - full.mean(1, keepdim=True)
        var = centred.square().sum(1, keepdim=True) / (full.shape[1] - 1)
        full = centred * torch.rsqrt(var + eps)
    y = torch.addcmul(full, full, scale.to(full.dtype)) + shift
    if slope is not None:
        y = F.leaky_relu(y, slope)
    y = y.to(torch.promote_types(x.dtype, gamma.dtype))
    return F.pad(y, (pad, pad, pad, pad), mode="reflect") if pad else y


class _Norm:
    """The norm at each position of maps (B, C, H, W), its moments (B, 1, H, W)."""

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The normalised map, mean and 1 / deviation. Mean first, then squares: as exact as
        `var_mean`, which is slow over a dimension that is not the innermost one."""
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        var = centred.square().sum(1, keepdim=True).div_(x.shape[1] - 1)
        rstd = var.add_(self.eps).rsqrt_()
        return centred.mul_(rstd), mean, rstd

    def again(self, x: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
        """The normalised map, of known moments."""
        return (x - mean).mul_(rstd)

    def gradient(
        self, d: Tensor, x: Tensor, normal: Tensor, mean: Tensor, rstd: Tensor, out: Tensor
    ) -> None:
        """Write the one at x, where `d` is that at the normalised map; both may be overwritten."""
        projection = (d * normal).sum(1, keepdim=True).div_(x.shape[1] - 1)
        d.sub_(d.mean(1, keepdim=True)).sub_(normal.mul_(projection))
        torch.mul(d, rstd, out=out)


class _InnermostNorm(_Norm):
    """Of maps in channels_last. `rstd` is that of the biased variance."""

    def of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, weight, share = self._rows(x)
        found = torch.native_layer_norm(rows, weight.shape, weight, None, share * self.eps)
        normal, mean, rstd = (part.permute(0, 3, 1, 2) for part in found)
        return normal, mean, rstd

    def again(self, x: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
        return self.of(x)[0]

    def gradient(
        self, d: Tensor, x: Tensor, normal: Tensor, mean: Tensor, rstd: Tensor, out: Tensor
    ) -> None:
        rows, weight, _ = self._rows(x)
        d, mean, rstd = (part.permute(0, 2, 3, 1) for part in (d, mean, rstd))
        asked = [True, False, False]
        dx, _, _ = torch.ops.aten.native_layer_norm_backward(
            d, rows, weight.shape, mean, rstd, weight, None, asked
        )
        out.copy_(dx.permute(0, 3, 1, 2))

    @staticmethod
    def _rows(x: Tensor) -> tuple[Tensor, Tensor, float]:
        """(B, H, W, C), the weight (C,), and its square."""
        share = (x.shape[1] - 1) / x.shape[1]
        return x.permute(0, 2, 3, 1), x.new_full((x.shape[1],), share**0.5), share


def _norm_of(x: Tensor, eps: float) -> _Norm:
    innermost = memory_format_of(x) is torch.channels_last
    return _InnermostNorm(eps) if innermost else _Norm(eps)


def _halves(gamma: Tensor, beta: Tensor | None) -> tuple[Tensor, Tensor]:
    if beta is not None:
        return gamma, beta
    scale, shift = gamma.chunk(2, dim=1)
    return scale, shift


def _empty(x: Tensor, dtype: torch.dtype, channels: int = 0, pad: int = 0) -> Tensor:
    """A map in the memory format of `x`, of as many channels or of `channels`, larger by `pad`."""
    form = memory_format_of(x)
    size = (x.shape[0], channels or x.shape[1], x.shape[2] + 2 * pad, x.shape[3] + 2 * pad)
    return torch.empty(size, dtype=dtype, device=x.device, memory_format=form)


def _inside(padded: Tensor, pad: int) -> Tensor:
    return padded[..., pad:-pad, pad:-pad] if pad else padded


def _blocks(x: Tensor) -> Iterator[Rows]:
    """Indices of blocks of rows; an accelerator takes all in one."""
    batch, channels, height, width = x.shape
    if x.device.type != "cpu":
        yield (slice(None),)
        return
    rows = max(BLOCK // max(channels * width, 1), 1)
    samples = max(rows // max(height, 1), 1)  # several, where maps are small
    for first in range(0, batch, samples):
        for top in range(0, height, rows):
            yield (slice(first, first + samples), slice(None), slice(top, top + rows))
