"""Softmax-weighted sums where the N x M matrix of logits is at hand.

Autograd would keep the softmax of each direction beside the logits; here the weights of a block of
rows are made when they are wanted, forward and backward, so that the logits are the one matrix that
is kept, for any number of sums in both directions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.ops.blocks import LN2, Buffer, blocks, exporting, powers_
from mcltoolkit.precision import at_least_float32, without_autocast


def softmax_sum(logits: Tensor, values: Tensor, back: bool = False) -> Tensor:
    """Sums of values, weighted by a softmax to the base 2 over their positions.

    Args:
        logits: (B, N, M); the weights are proportional to 2^logits.
        values: (B, C, M); (B, C, N) for `back`.
        back: weigh over the N rows instead of the M columns.

    Returns:
        (B, C, N), or (B, C, M) for `back`; in the precision of the logits.
    """
    with without_autocast(logits):
        values = at_least_float32(values).to(logits.dtype)
        if exporting():
            weights = (logits * LN2).softmax(1 if back else 2)
            return values @ weights if back else values @ weights.mT
        result: Tensor = _SoftmaxSum.apply(logits, values, back)
        return result


class _SoftmaxSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, values: Tensor, back: bool) -> Tensor:
        axis = 1 if back else 2
        peaks = logits.amax(axis, keepdim=True)
        totals = torch.zeros_like(peaks)
        size = logits.shape[2] if back else logits.shape[1]
        out = values.new_zeros((*values.shape[:2], size))
        buffer = Buffer(logits)
        for some, part in blocks(len(logits), logits.shape[1], logits.shape[2], logits.device):
            share = _shares(logits, peaks, some, part, back, buffer)
            if back:
                totals[some] += share.sum(1, keepdim=True)
                out[some].baddbmm_(values[some, :, part], share)
            else:
                totals[some, part] = share.sum(2, keepdim=True)
                out[some, :, part] = torch.bmm(values[some], share.mT)
        out /= totals.view(len(out), 1, size)
        ctx.save_for_backward(logits, values, out, peaks + totals.log2())
        ctx.back = back
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        logits, values, out, sums = ctx.saved_tensors
        back = ctx.back
        grad_logits = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        grad_values = torch.zeros_like(values) if ctx.needs_input_grad[1] else None
        means = (grad * out).sum(1)
        buffer = Buffer(logits)
        for some, part in blocks(len(logits), logits.shape[1], logits.shape[2], logits.device):
            share = _shares(logits, sums, some, part, back, buffer)
            if grad_values is not None:
                if back:
                    grad_values[some, :, part] = torch.bmm(grad[some], share.mT)
                else:
                    grad_values[some].baddbmm_(grad[some, :, part], share)
            if grad_logits is not None:
                if back:
                    inner = torch.bmm(values[some, :, part].mT, grad[some])
                    inner.sub_(means[some, None])
                else:
                    inner = torch.bmm(grad[some, :, part].mT, values[some])
                    inner.sub_(means[some, part, None])
                # the derivative of 2^x is ln(2) 2^x
                torch.mul(inner.mul_(LN2), share, out=grad_logits[some, part])
        return grad_logits, grad_values, None


def _shares(
    logits: Tensor, less: Tensor, some: slice, part: slice, back: bool, buffer: Buffer
) -> Tensor:
    """2^(logits - less) of a block of rows."""
    block = logits[some, part]
    fewer = less[some] if back else less[some, part]
    return powers_(torch.sub(block, fewer, out=buffer.of(*block.shape)))
