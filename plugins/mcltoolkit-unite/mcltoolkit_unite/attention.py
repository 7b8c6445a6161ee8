"""Softmax-weighted sums over columns, a block of rows at a time.

The rows of a transport plan, each divided by its sum, are a softmax in which the row's own
potential cancels. The backward pass makes each block again from the vectors and the rows' sums, as
memory-efficient attention does (Rabe and Staats 2021).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.precision import without_autocast
from mcltoolkit_unite.sinkhorn import row_blocks


def attend(queries: Tensor, keys: Tensor, bias: Tensor, values: Tensor, block: int) -> Tensor:
    """For each row the sum of `values` weighted by softmax_j(queries_i . keys_j + bias_j).

    Args:
        queries: (B, D, N).
        keys: (B, D, M).
        bias: (B, M).
        values: (B, C, M), in the precision of `queries`.
        block: rows that exist at a time.

    Returns:
        (B, C, N). Differentiable once.
    """
    found: Tensor = _Attend.apply(queries, keys, bias, values, block)
    return found


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, bias: Tensor, values: Tensor, block: int
    ) -> Tensor:
        count = queries.shape[2]
        out = values.new_empty((*values.shape[:2], count))
        sums = bias.new_empty((len(bias), count))
        with without_autocast(queries):
            for part in row_blocks(count, block):
                logits = (queries[:, :, part].mT @ keys).add_(bias[:, None])
                sums[:, part] = logits.logsumexp(2)
                share = logits.sub_(sums[:, part, None]).exp_()
                out[:, :, part] = values @ share.mT
        ctx.save_for_backward(queries, keys, bias, values, out, sums)
        ctx.block = block
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, bias, values, out, sums = ctx.saved_tensors
        grads = [torch.zeros_like(values) for values in (queries, keys, bias, values)]
        grad_queries, grad_keys, grad_bias, grad_values = grads
        with without_autocast(queries):
            mean = (grad * out).sum(1)  # of the gradients of a row's weights, weighted by them
            for part in row_blocks(queries.shape[2], ctx.block):
                logits = (queries[:, :, part].mT @ keys).add_(bias[:, None])
                share = logits.sub_(sums[:, part, None]).exp_()
                grad_values += grad[:, :, part] @ share
                inner = (grad[:, :, part].mT @ values).sub_(mean[:, part, None]).mul_(share)
                grad_bias += inner.sum(1)
                grad_queries[:, :, part] = keys @ inner.mT
                grad_keys += queries[:, :, part] @ inner
        return grad_queries, grad_keys, grad_bias, grad_values, None
