"""The sum over all pairs of a contrast with one positive a row, in memory linear in the positions.

InfoNCE (van den Oord et al., 2018) needs of the N x N matrix of logits the logarithm of each row's
sum of exponentials. What stands on the diagonal is given apart, so that a margin acts on N numbers
only. A block of rows is made at a time, and again in the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.ops.blocks import LN2, LOG2E, Buffer, blocks, exporting, powers_
from mcltoolkit.precision import at_least_float32, without_autocast


def contrast_sums(anchor: Tensor, others: Tensor, own: Tensor, scale: float = 1.0) -> Tensor:
    """log(exp(own_i) + sum_{j != i} exp(scale * anchor_i . others_j)).

    Computed in float32, or float64 if the anchor is; differentiable once, by all three.

    Args:
        anchor: (B, N, D).
        others: (B, N, D).
        own: (B, N), what stands for the pairs i = j.
        scale: of the product.

    Returns:
        (B, N).
    """
    anchor = at_least_float32(anchor)
    others, own = others.to(anchor.dtype), own.to(anchor.dtype)
    if exporting():
        with without_autocast(anchor):
            logits = (anchor * scale) @ others.mT
            return torch.diagonal_scatter(logits, own, dim1=1, dim2=2).logsumexp(2)
    found: Tensor = _ContrastSums.apply(anchor, others, own, scale)
    return found


class _ContrastSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: Tensor, others: Tensor, own: Tensor, scale: float) -> Tensor:
        batch, count, _ = anchor.shape
        sums = anchor.new_empty((batch, count))  # to the base 2
        buffer = Buffer(anchor)
        with without_autocast(anchor):
            for some, part in blocks(batch, count, count, anchor.device):
                logits = _block(anchor, others, scale, some, part, buffer)
                logits.diagonal(part.start, 1, 2).copy_(own[some, part] * LOG2E)
                peak = logits.amax(2)
                total = powers_(logits.sub_(peak[:, :, None])).sum(2)
                sums[some, part] = peak + total.log2_()
        ctx.save_for_backward(anchor, others, own, sums)
        ctx.scale = scale
        return sums * LN2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        anchor, others, own, sums = ctx.saved_tensors
        needs_anchor, needs_others, _ = ctx.needs_input_grad[:3]
        batch, count, _ = anchor.shape
        grad_anchor = torch.empty_like(anchor) if needs_anchor else None
        grad_others = torch.zeros_like(others) if needs_others else None
        grad_own = grad * (own * LOG2E - sums).exp2()
        if not (needs_anchor or needs_others):
            return None, None, grad_own, None
        buffer = Buffer(anchor)
        with without_autocast(anchor):
            for some, part in blocks(batch, count, count, anchor.device):
                inner = _block(anchor, others, ctx.scale, some, part, buffer)
                # before the exponential, which the sums do not bound there
                inner.diagonal(part.start, 1, 2).fill_(-torch.inf)
                powers_(inner.sub_(sums[some, part, None])).mul_(ctx.scale * grad[some, part, None])
                if grad_anchor is not None:
                    grad_anchor[some, part] = torch.bmm(inner, others[some])
                if grad_others is not None:
                    grad_others[some].baddbmm_(inner.mT, anchor[some, part])
        return grad_anchor, grad_others, grad_own, None


def _block(
    anchor: Tensor, others: Tensor, scale: float, some: slice, part: slice, buffer: Buffer
) -> Tensor:
    """Logits to the base 2 of a block of rows, (b, R, N), in the buffer."""
    these = anchor[some, part] * (scale * LOG2E)
    room = buffer.of(these.shape[0], these.shape[1], others.shape[1])
    return torch.bmm(these, others[some].mT, out=room)
