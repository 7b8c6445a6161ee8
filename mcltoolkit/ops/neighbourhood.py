"""Cosines of square neighbourhoods without unfolding them.

The product of two unfolded k x k neighbourhoods is the sum of k^2 products of single positions
that lie diagonally apart: unfold(q)_i . unfold(k)_j = sum_d q_{i+d} . k_{j+d}. So the product of
the single positions, k^2 times cheaper, is made once and summed along its diagonals (a separable
box filter). Centring and norms follow from sums over single positions, written so that nothing is
subtracted from something nearly equal: the result is no less exact than the unfolded formula.

The match of CoCosNet (Zhang et al., CVPR 2020, section 3.1; its code compares 3 x 3
neighbourhoods); the decomposition is this toolkit's.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.precision import EPSILON, at_least_float32, without_autocast

# Elements of one block of the product that is filtered: it should stay in a CPU's cache.
BLOCK = 2**22


def neighbourhood_cosines(
    queries: Tensor, keys: Tensor, neighbourhood: int = 3, temperature: float = 1.0
) -> Tensor:
    """Cosines of all pairs of neighbourhoods, each less the mean of its own values.

    Args:
        queries: (B, D, h, w), zero-padded at the borders.
        keys: (B, D, H, W), likewise.
        neighbourhood: k, odd.
        temperature: divides the cosines; > 0.

    Returns:
        (B, h * w, H * W), float32 at least: what
        `normalise(centre(unfold(queries)))^T normalise(centre(unfold(keys))) / temperature` is.
        A neighbourhood without contrast has cosine 0 to all.
    """
    with without_autocast(queries):
        q, q_means, q_scale = _single(at_least_float32(queries), neighbourhood)
        k, k_means, k_scale = _single(at_least_float32(keys), neighbourhood)
        q_scale = q_scale / temperature
        cosines: Tensor = _DiagonalProduct.apply(
            q, k, q_means, k_means, q_scale, k_scale, neighbourhood
        )
        return cosines


def _single(x: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a side's neighbourhoods come down to.

    Returns:
        (B, D, h, w), the values less the mean of their position; (B, k^2, N), the positions'
        means less the neighbourhood's mean, times sqrt(D); (B, N), one over the norm of the centred
        neighbourhood.
    """
    means = x.mean(1, keepdim=True)
    x = x - means
    squares = F.avg_pool2d(x.square().sum(1, keepdim=True), k, 1, k // 2, divisor_override=1)
    around = F.unfold(means, k, padding=k // 2)
    around = (around - around.mean(1, keepdim=True)) * x.shape[1] ** 0.5
    total = squares.flatten(1) + around.square().sum(1)
    # the floor keeps the slope of the root finite where there is no contrast
    return x, around, torch.rsqrt(total.clamp_min(EPSILON**2))


class _DiagonalProduct(torch.autograd.Function):
    """(box(q^T k) + q_means^T k_means) * q_scale * k_scale, in blocks of the queries' rows."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        q_means: Tensor,
        k_means: Tensor,
        q_scale: Tensor,
        k_scale: Tensor,
        neighbourhood: int,
    ) -> Tensor:
        grids = (q.shape[-2], q.shape[-1], k.shape[-2], k.shape[-1])
        reach, flat_k = neighbourhood // 2, k.flatten(2)
        positions, width = grids[0] * grids[1], grids[1]
        out = q.new_empty(len(q), positions, flat_k.shape[2])
        for top, bottom in _row_blocks(grids):
            low, high = max(top - reach, 0), min(bottom + reach, grids[0])
            product = q[:, :, low:high].flatten(2).transpose(1, 2) @ flat_k
            block = _box(product, grids, (low, high), (top, bottom), reach)
            rows = slice(top * width, bottom * width)
            block.baddbmm_(q_means[:, :, rows].transpose(1, 2), k_means)
            block.mul_(q_scale[:, rows, None])
            torch.mul(block, k_scale[:, None], out=out[:, rows])
        ctx.save_for_backward(q, k, q_means, k_means, q_scale, k_scale, out)
        ctx.neighbourhood = neighbourhood
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, q_means, k_means, q_scale, k_scale, out = ctx.saved_tensors
        grids = (q.shape[-2], q.shape[-1], k.shape[-2], k.shape[-1])
        reach, flat_k, width = ctx.neighbourhood // 2, k.flatten(2), grids[1]
        grad_q, grad_k = torch.empty_like(q), torch.zeros_like(flat_k)
        grad_q_means, grad_k_means = torch.empty_like(q_means), torch.zeros_like(k_means)
        grad_q_scale, grad_k_scale = torch.empty_like(q_scale), torch.zeros_like(k_scale)
        for top, bottom in _row_blocks(grids):
            low, high = max(top - reach, 0), min(bottom + reach, grids[0])
            around, rows = slice(low * width, high * width), slice(top * width, bottom * width)
            scaled = grad[:, around] * q_scale[:, around, None]
            scaled.mul_(k_scale[:, None])
            inner = scaled[:, (top - low) * width : (top - low) * width + (bottom - top) * width]
            # both scales: d out / d scale = out / scale
            share = grad[:, rows] * out[:, rows]
            grad_q_scale[:, rows] = share.sum(2)
            grad_k_scale += share.sum(1)
            torch.bmm(k_means, inner.transpose(1, 2), out=grad_q_means[:, :, rows])
            grad_k_means.baddbmm_(q_means[:, :, rows], inner)
            # the filter is its own transpose
            product = _box(scaled, grids, (low, high), (top, bottom), reach)
            own = q[:, :, top:bottom].flatten(2)
            grad_q[:, :, top:bottom] = (flat_k @ product.transpose(1, 2)).view_as(
                q[:, :, top:bottom]
            )
            grad_k.baddbmm_(own, product)
        return (
            grad_q,
            grad_k.view_as(k),
            grad_q_means,
            grad_k_means,
            grad_q_scale / q_scale,
            grad_k_scale / k_scale,
            None,
        )


def _row_blocks(grids: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """Rows of the queries' map, as many at a time as keep a block in the cache."""
    height, width, *others = grids
    step = max(BLOCK // (width * others[0] * others[1]), 1)
    return [(top, min(top + step, height)) for top in range(0, height, step)]


def _box(
    product: Tensor,
    grids: tuple[int, int, int, int],
    found: tuple[int, int],
    wanted: tuple[int, int],
    reach: int,
) -> Tensor:
    """Sums along the diagonals: out[i, j] = sum_d product[i + d, j + d], d within the square.

    Args:
        product: (B, rows * w, H * W), the rows `found` of the queries' map.
        wanted: the rows to be summed for; `found` has those within `reach` of them.

    Returns:
        (B, (rows wanted) * w, H * W), freshly made.
    """
    _, width, other_height, other_width = grids
    batch = len(product)
    found_rows, wanted_rows = found[1] - found[0], wanted[1] - wanted[0]
    start = wanted[0] - found[0]
    x = product.view(batch, found_rows, width, other_height, other_width)
    tall = x[:, start : start + wanted_rows].clone(memory_format=torch.contiguous_format)
    for d in (d for d in range(-reach, reach + 1) if d):
        ours = slice(max(0, -start - d), min(wanted_rows, found_rows - start - d))
        theirs = slice(ours.start + start + d, ours.stop + start + d)
        into, of = _overlap(other_height, d)
        if ours.start < ours.stop and into.start < into.stop:
            tall[:, ours, :, into] += x[:, theirs, :, of]
    both = tall.clone()
    for d in (d for d in range(-reach, reach + 1) if d):
        into, of = _overlap(other_width, d)
        ours, theirs = _overlap(width, d)
        if ours.start < ours.stop and into.start < into.stop:
            both[:, :, ours, :, into] += tall[:, :, theirs, :, of]
    return both.view(batch, wanted_rows * width, other_height * other_width)


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Places i and i + shift that both lie in [0, size)."""
    ours = slice(max(0, -shift), min(size, size - shift))
    return ours, slice(ours.start + shift, ours.stop + shift)
