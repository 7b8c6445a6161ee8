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

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.ops.blocks import LOG2E, Buffer
from mcltoolkit.ops.softmax_match import SoftmaxMatch
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
        sides = _both(queries, keys, neighbourhood, temperature)
        cosines: Tensor = _DiagonalProduct.apply(*sides, neighbourhood)
        return cosines


def neighbourhood_match(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    neighbourhood: int = 3,
    temperature: float = 1.0,
) -> Tensor:
    """Sums of values, weighted by the softmax over keys of `neighbourhood_cosines`; no matrix of
    all pairs is kept, forward or backward.

    Args:
        queries, keys, neighbourhood, temperature: see `neighbourhood_cosines`.
        values: (B, C, H * W).

    Returns:
        (B, C, h * w), float32 at least.
    """
    return _matched(queries, keys, values, neighbourhood, temperature, 0)[0]


def neighbourhood_cycle(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    neighbourhood: int = 3,
    temperature: float = 1.0,
    channels: int | None = None,
) -> tuple[Tensor, Tensor]:
    """`neighbourhood_match`, and its first channels brought back by the softmax over queries.

    Args:
        queries, keys, values, neighbourhood, temperature: see `neighbourhood_match`.
        channels: how many of the C channels go back, at least 1; None takes all.

    Returns:
        (B, C, h * w), and (B, channels, H * W).
    """
    count = values.shape[1] if channels is None else channels
    return _matched(queries, keys, values, neighbourhood, temperature, count)


def _matched(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    neighbourhood: int,
    temperature: float,
    channels: int,
) -> tuple[Tensor, Tensor]:
    with without_autocast(queries):
        sides = _both(queries, keys, neighbourhood, temperature)
        pairs = NeighbourhoodPairs(neighbourhood // 2)
        out, back = SoftmaxMatch.apply(pairs, values, channels, *sides)
        return out, back


def _both(queries: Tensor, keys: Tensor, k: int, temperature: float) -> tuple[Tensor, ...]:
    """What `_DiagonalProduct` and `NeighbourhoodPairs` are given."""
    q, q_means, q_scale = _single(at_least_float32(queries), k)
    keys, k_means, k_scale = _single(at_least_float32(keys), k)
    return q, keys, q_means, k_means, q_scale / temperature, k_scale


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
        width, sides = grids[1], (q, k, q_means, k_means, q_scale, k_scale)
        out = q.new_empty(len(q), grids[0] * width, grids[2] * grids[3])
        for top, bottom in _row_blocks(grids):
            block = _unscaled(sides, slice(None), (top, bottom), neighbourhood // 2)
            rows = slice(top * width, bottom * width)
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


class NeighbourhoodPairs:
    """`neighbourhood_cosines` in blocks of rows of the queries' map, made of what `_both` gives."""

    reads_logits = True

    def __init__(self, reach: int) -> None:
        self.reach = reach

    def size(self, tensors: Sequence[Tensor]) -> tuple[int, int, int]:
        """See `Pairs`."""
        q, k, *_ = tensors
        return len(q), q.shape[2] * q.shape[3], k.shape[2] * k.shape[3]

    def blocks(self, tensors: Sequence[Tensor]) -> Iterator[tuple[slice, slice]]:
        """See `Pairs`."""
        batch, positions, columns = self.size(tensors)
        q, k, *_ = tensors
        width, rows = q.shape[3], _row_blocks((*q.shape[2:], *k.shape[2:]))
        samples = max(BLOCK // (positions * columns), 1)  # several, where maps are small
        for first in range(0, batch, samples):
            for top, bottom in rows:
                yield slice(first, first + samples), slice(top * width, bottom * width)

    def logits(self, tensors: Sequence[Tensor], some: slice, part: slice, buffer: Buffer) -> Tensor:
        """See `Pairs`."""
        q_scale, k_scale = tensors[4:]
        block = _unscaled(tensors, some, self._rows(tensors, part), self.reach)
        return block.mul_(q_scale[some, part, None] * LOG2E).mul_(k_scale[some, None])

    def zeros(self, tensors: Sequence[Tensor], needed: Sequence[bool]) -> list[Tensor | None]:
        """See `Pairs`: all of them, since one needs the others' products."""
        return [torch.zeros_like(x, memory_format=torch.contiguous_format) for x in tensors]

    def pull(
        self,
        grads: list[Tensor | None],
        tensors: Sequence[Tensor],
        some: slice,
        part: slice,
        inner: Tensor,
        logits: Tensor,
    ) -> None:
        """See `Pairs`."""
        q, k, q_means, k_means, q_scale, k_scale = (x[some] for x in tensors)
        to_q, to_k, to_q_means, to_k_means, to_q_scale, to_k_scale = (
            x[some] for x in grads if x is not None
        )
        # both scales: d logits / d scale = logits / scale
        share = logits.mul_(inner).mul_(1 / LOG2E)
        to_q_scale[:, part] = share.sum(2) / q_scale[:, part]
        to_k_scale += share.sum(1) / k_scale
        inner.mul_(q_scale[:, part, None]).mul_(k_scale[:, None])
        to_q_means[:, :, part] = torch.bmm(k_means, inner.mT)
        to_k_means.baddbmm_(q_means[:, :, part], inner)
        # the filter is its own transpose: rows around take their part
        grids, rows = (*q.shape[2:], *k.shape[2:]), self._rows(tensors, part)
        around = max(rows[0] - self.reach, 0), min(rows[1] + self.reach, grids[0])
        product = _box(inner, grids, rows, around, self.reach)
        wide = slice(*around)
        to_q[:, :, wide] += torch.bmm(k.flatten(2), product.mT).view_as(to_q[:, :, wide])
        to_k.view(*to_k.shape[:2], -1).baddbmm_(q[:, :, wide].flatten(2), product)

    @staticmethod
    def _rows(tensors: Sequence[Tensor], part: slice) -> tuple[int, int]:
        width = tensors[0].shape[3]
        return part.start // width, part.stop // width


def _unscaled(sides: Sequence[Tensor], some: slice, rows: tuple[int, int], reach: int) -> Tensor:
    """box(q^T k) + q_means^T k_means of rows of the queries' map, freshly made."""
    q, k, q_means, k_means = (x[some] for x in sides[:4])
    grids = (*q.shape[2:], *k.shape[2:])
    around = max(rows[0] - reach, 0), min(rows[1] + reach, grids[0])
    product = q[:, :, slice(*around)].flatten(2).mT @ k.flatten(2)
    block = _box(product, grids, around, rows, reach)
    part = slice(rows[0] * grids[1], rows[1] * grids[1])
    return block.baddbmm_(q_means[:, :, part].mT, k_means)


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
        product: (B, rows * w, H * W), the rows `found` of the queries' map; others count as zero.
        wanted: the rows to be summed for.

    Returns:
        (B, (rows wanted) * w, H * W), freshly made.
    """
    _, width, other_height, other_width = grids
    batch = len(product)
    found_rows, wanted_rows = found[1] - found[0], wanted[1] - wanted[0]
    start = wanted[0] - found[0]
    x = product.view(batch, found_rows, width, other_height, other_width)
    shifts = [d for d in range(-reach, reach + 1) if d]
    if start >= 0 and start + wanted_rows <= found_rows:
        tall = x[:, start : start + wanted_rows].clone(memory_format=torch.contiguous_format)
    else:
        tall = x.new_zeros(batch, wanted_rows, *x.shape[2:])
        shifts.append(0)
    for d in shifts:
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
