"""The contextual affinity of each position to its nearest one, in memory linear in the positions.

Contextual loss of Mechrez et al. (ECCV 2018). With d_ij = 1 - cosine_ij and m_i = min_j d_ij the
affinity A_ij is the softmax over j of (1 - d_ij / (m_i + floor)) / bandwidth. Its largest entry is
the nearest position's, where all the others stand in relation to it:

    log max_j A_ij = -log sum_j exp(w_i (cosine_ij - max_j cosine_ij)),
    w_i = 1 / (bandwidth (m_i + floor)),

so that one block of rows of the cosines is all that is held, and the backward pass makes it again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.ops.blocks import LN2, LOG2E, Buffer, blocks, exporting, powers_
from mcltoolkit.precision import at_least_float32, without_autocast


def contextual_affinity(
    source: Tensor, target: Tensor, bandwidth: float = 0.1, floor: float = 1e-3
) -> Tensor:
    """log max_j A_ij.

    Computed in float32, or float64 if the source is; differentiable once. Where several positions
    are equally near, they share the gradient, as `amax` has it.

    Args:
        source: (B, C, N), unit vectors.
        target: (B, C, M), unit vectors.
        bandwidth: of the exponential, > 0.
        floor: added to the nearest distance, > 0; a nearest distance below 0, from rounding,
            counts as 0.

    Returns:
        (B, N), in [-log M, 0].
    """
    source = at_least_float32(source)
    target = at_least_float32(target).to(source.dtype)
    if exporting():
        with without_autocast(source):
            cosines = source.mT @ target
            peak = cosines.amax(2, keepdim=True)
            weights = 1 / bandwidth / ((1 - peak).clamp_min(0) + floor)
            return -((cosines - peak) * weights).logsumexp(2)
    found: Tensor = _ContextualAffinity.apply(source, target, bandwidth, floor)
    return found


class _ContextualAffinity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, source: Tensor, target: Tensor, bandwidth: float, floor: float) -> Tensor:
        (batch, _, rows), columns = source.shape, target.shape[2]
        best = source.new_empty((batch, rows))
        buffer = Buffer(source)
        with without_autocast(source):
            for some, part in blocks(batch, rows, columns, source.device):
                cosines = _block(source, target, some, part, buffer)
                peak = cosines.amax(2)
                slope = LOG2E / bandwidth / ((1 - peak).clamp_min_(0) + floor)
                cosines.sub_(peak[:, :, None]).mul_(slope[:, :, None])
                best[some, part] = powers_(cosines).sum(2).log2_().mul_(-LN2)
        ctx.save_for_backward(source, target, best)
        ctx.bandwidth, ctx.floor = bandwidth, floor
        return best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        source, target, best = ctx.saved_tensors
        needs_source, needs_target = ctx.needs_input_grad[:2]
        grad_source = torch.empty_like(source) if needs_source else None
        grad_target = torch.zeros_like(target) if needs_target else None
        (batch, _, rows), columns = source.shape, target.shape[2]
        first, second, third = Buffer(source), Buffer(source), Buffer(source, torch.bool)
        with without_autocast(source):
            for some, part in blocks(batch, rows, columns, source.device):
                cosines = _block(source, target, some, part, first)
                peak = cosines.amax(2)  # of these very numbers, so that ties are found
                beyond = cosines.sub_(peak[:, :, None])
                nearest = torch.eq(beyond, 0, out=third.of(*beyond.shape))
                distance = 1 - peak
                below = 1 / (distance.clamp_min(0) + ctx.floor)
                weight = below / ctx.bandwidth
                shares = torch.mul(beyond, LOG2E * weight[:, :, None], out=second.of(*beyond.shape))
                powers_(shares.add_(LOG2E * best[some, part, None]))
                upstream = grad[some, part] * weight
                # the weight grows with the nearest cosine, but not beyond 1
                steeper = beyond.mul_(shares).sum(2) * -below * (distance >= 0)
                own = upstream * (1 + steeper) / nearest.sum(2)
                inner = shares.mul_(-upstream[:, :, None])
                inner.add_(torch.mul(nearest, own[:, :, None], out=beyond))
                if grad_source is not None:
                    grad_source[some, :, part] = torch.bmm(target[some], inner.mT)
                if grad_target is not None:
                    grad_target[some].baddbmm_(source[some, :, part], inner)
        return grad_source, grad_target, None, None


def _block(source: Tensor, target: Tensor, some: slice, part: slice, buffer: Buffer) -> Tensor:
    """Cosines of a block of rows, (b, R, M), in the buffer."""
    these = source[some, :, part]
    room = buffer.of(these.shape[0], these.shape[2], target.shape[2])
    return torch.bmm(these.mT, target[some], out=room)
