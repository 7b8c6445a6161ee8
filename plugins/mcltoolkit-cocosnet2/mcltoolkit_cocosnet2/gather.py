"""Sparse matrix products whose memory does not grow with channels times candidates.

A position n of one map has J partners in another map, the rows `index[:, :, n]` of a table. Three
products with the sparse N x M matrix of these partners are all that a sparse match needs, and each
one's gradient is made of the other two. So only the factors are kept for the gradient, never the
gathered rows, which at 512 x 512 would fill gigabytes.

Shapes here: values lie in rows, (B, N, C) and (B, M, C); index (B, J, N) holds numbers in [0, M).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

AT_ONCE = 2**22  # numbers gathered at a time


def gather_dot(queries: Tensor, keys: Tensor, index: Tensor) -> Tensor:
    """The product of each position's vector with each of its partners'.

    Args:
        queries: (B, N, C).
        keys: (B, M, C).
        index: (B, J, N) int64 in [0, M).

    Returns:
        (B, J, N): sum over c of queries[n, c] * keys[index[j, n], c].
    """
    return _GatherDot.apply(queries, keys, index)  # type: ignore[no-any-return]


def gather_sum(weights: Tensor, values: Tensor, index: Tensor) -> Tensor:
    """The weighted sum of each position's partners.

    Args:
        weights: (B, J, N).
        values: (B, M, C).
        index: (B, J, N) int64 in [0, M).

    Returns:
        (B, N, C): sum over j of weights[j, n] * values[index[j, n]].
    """
    return _GatherSum.apply(weights, values, index)  # type: ignore[no-any-return]


def scatter_sum(weights: Tensor, values: Tensor, index: Tensor, size: int) -> Tensor:
    """What the positions hand to their partners.

    Args:
        weights: (B, J, N).
        values: (B, N, C).
        index: (B, J, N) int64 in [0, `size`).
        size: M.

    Returns:
        (B, M, C): sum over all j, n with index[j, n] = m of weights[j, n] * values[n].
    """
    return _ScatterSum.apply(weights, values, index, size)  # type: ignore[no-any-return]


class _GatherDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys, index)
        table = _table(keys)
        queries = queries.unsqueeze(1)
        blocks = _blocks(index, keys.shape)
        return torch.cat([(_take(table, rows) * queries).sum(3) for _, rows in blocks], dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, index = ctx.saved_tensors
        need_queries, need_keys = ctx.needs_input_grad[:2]
        return (
            gather_sum(gradients[0], keys, index) if need_queries else None,
            scatter_sum(gradients[0], queries, index, keys.shape[1]) if need_keys else None,
            None,
        )


class _GatherSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(weights, values, index)
        table = _table(values)
        total = values.new_zeros(len(index), index.shape[2], values.shape[2])
        for block, rows in _blocks(index, values.shape):
            total += (_take(table, rows) * weights[:, block, :, None]).sum(1)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, values, index = ctx.saved_tensors
        need_weights, need_values = ctx.needs_input_grad[:2]
        size = values.shape[1]
        return (
            gather_dot(gradients[0], values, index) if need_weights else None,
            scatter_sum(weights, gradients[0], index, size) if need_values else None,
            None,
        )


class _ScatterSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, values: Tensor, index: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(weights, values, index)
        batch, _, channels = values.shape
        table = values.new_zeros(batch * size, channels)
        for block, rows in _blocks(index, (batch, size, channels)):
            handed = weights[:, block, :, None] * values.unsqueeze(1)
            table.index_add_(0, rows.flatten(), handed.flatten(0, 2))
        return table.unflatten(0, (batch, size))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, values, index = ctx.saved_tensors
        need_weights, need_values = ctx.needs_input_grad[:2]
        return (
            gather_dot(values, gradients[0], index) if need_weights else None,
            gather_sum(weights, gradients[0], index) if need_values else None,
            None,
            None,
        )


def _table(values: Tensor) -> Tensor:
    """(B, M, C) -> (B * M, C), each row in one piece of memory."""
    return values.contiguous().flatten(0, 1)


def _take(table: Tensor, rows: Tensor) -> Tensor:
    """Rows (R, C) of the table by number (B, j, N): (B, j, N, C)."""
    return table.index_select(0, rows.flatten()).unflatten(0, rows.shape)


def _blocks(index: Tensor, shape: Sequence[int]) -> Iterator[tuple[slice, Tensor]]:
    """Ranges of j, and the rows (B, j, N) in the table of a (B, M, C) map that belong to them."""
    batch, size, channels = shape
    start = torch.arange(batch, device=index.device)[:, None, None] * size
    step = max(1, AT_ONCE // (batch * index.shape[2] * channels))
    for first in range(0, index.shape[1], step):
        block = slice(first, first + step)
        yield block, index[:, block] + start
