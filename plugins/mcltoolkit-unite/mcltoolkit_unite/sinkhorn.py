"""Entropic transport with relaxed marginals, solved in the log domain a block of rows at a time.

    min_P  <P, C> + epsilon KL(P | a b^T) + rho KL(P 1 | a) + rho KL(P^T 1 | b)

Chizat et al., "Scaling algorithms for unbalanced optimal transport problems" (Math. Comp. 2018):
scaling with the exponent rho / (rho + epsilon). In logarithms and units of epsilon, with
S = -C / epsilon and damping = rho / (rho + epsilon):

    u_i = -damping * logsumexp_j(S_ij + log b_j + v_j)
    v_j = -damping * logsumexp_i(S_ij + log a_i + u_i)
    P_ij = exp(S_ij + log a_i + u_i + log b_j + v_j)

S is a product of vectors, so any block of its rows is cheap to make again: one pass over the rows
gives u and, summed on the way, v. The backward pass runs the iterations in reverse from the sums
that were kept, (N + M) numbers an iteration, and its gradient is that of the iterations as run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.precision import without_autocast


def row_blocks(count: int, block: int) -> list[slice]:
    """Slices of at most `block` that cover 0..`count` - 1 in order."""
    return [slice(start, min(start + block, count)) for start in range(0, count, block)]


def potentials(
    queries: Tensor,
    keys: Tensor,
    row_bias: Tensor,
    column_bias: Tensor,
    damping: float,
    iterations: int,
    block: int,
) -> tuple[Tensor, Tensor]:
    """Potentials u and v after a fixed number of iterations from v = 0.

    Args:
        queries: (B, D, N); the logits are S = queries^T keys, plus the biases.
        keys: (B, D, M).
        row_bias: (B, N), log a and any constant of S.
        column_bias: (B, M), log b and the same constant: u reads one of the two, v the other.
        damping: rho / (rho + epsilon), in [0, 1]; 1 is the balanced problem.
        iterations: pairs of updates, >= 0.
        block: rows of S that exist at a time.

    Returns:
        u (B, N) and v (B, M), in the precision of `queries`. Differentiable once.
    """
    u, v = _Potentials.apply(queries, keys, row_bias, column_bias, damping, iterations, block)
    return u, v


class _Potentials(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        row_bias: Tensor,
        column_bias: Tensor,
        damping: float,
        iterations: int,
        block: int,
    ) -> tuple[Tensor, Tensor]:
        rows = row_bias.new_zeros((iterations, *row_bias.shape))
        columns = column_bias.new_zeros((iterations, *column_bias.shape))
        with without_autocast(queries):
            column_logits = column_bias  # log b + v of the iteration before
            for step in range(iterations):
                sums = torch.full_like(column_bias, -torch.inf)
                for part in row_blocks(row_bias.shape[1], block):
                    logits = queries[:, :, part].mT @ keys
                    found = (logits + column_logits[:, None]).logsumexp(2)
                    rows[step, :, part] = found
                    logits += (row_bias[:, part] - damping * found)[:, :, None]
                    sums = torch.logaddexp(sums, logits.logsumexp(1))
                columns[step] = sums
                column_logits = column_bias - damping * sums
        ctx.save_for_backward(queries, keys, row_bias, column_bias, rows, columns)
        ctx.damping, ctx.block = damping, block
        if iterations == 0:
            return torch.zeros_like(row_bias), torch.zeros_like(column_bias)
        return -damping * rows[-1], -damping * columns[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_u: Tensor, grad_v: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, row_bias, column_bias, rows, columns = ctx.saved_tensors
        damping, block = ctx.damping, ctx.block
        blocks = row_blocks(row_bias.shape[1], block)
        # log a + u of each iteration, and log b + v of the one before it
        row_logits = row_bias - damping * rows
        before = torch.cat([torch.zeros_like(columns[:1]), columns[:-1]])
        column_logits = column_bias - damping * before
        # gradient of each logsumexp
        row_grads, column_grads = torch.zeros_like(rows), torch.zeros_like(columns)
        grad_row_bias, grad_column_bias = torch.zeros_like(row_bias), torch.zeros_like(column_bias)
        with without_autocast(queries):
            for step in reversed(range(len(rows))):
                column_grads[step] = -damping * grad_v
                reaching_v = torch.zeros_like(grad_v)
                for part in blocks:
                    logits = queries[:, :, part].mT @ keys
                    share = _column_shares(logits, row_logits[step], columns[step], part)
                    reaching_u = (share @ column_grads[step, :, :, None]).squeeze(2)
                    grad_row_bias[:, part] += reaching_u
                    row_grads[step, :, part] = -damping * (grad_u[:, part] + reaching_u)
                    share = _row_shares(logits, column_logits[step], rows[step], part)
                    reaching_v += (row_grads[step, :, None, part] @ share).squeeze(1)
                grad_column_bias += reaching_v
                grad_u, grad_v = torch.zeros_like(grad_u), reaching_v
            grad_queries, grad_keys = torch.zeros_like(queries), torch.zeros_like(keys)
            for part in blocks:
                logits = queries[:, :, part].mT @ keys
                grad = torch.zeros_like(logits)
                for step in range(len(rows)):
                    share = _column_shares(logits, row_logits[step], columns[step], part)
                    grad.addcmul_(share, column_grads[step, :, None])
                    share = _row_shares(logits, column_logits[step], rows[step], part)
                    grad.addcmul_(share, row_grads[step, :, part, None])
                grad_queries[:, :, part] = keys @ grad.mT
                grad_keys += queries[:, :, part] @ grad
        return grad_queries, grad_keys, grad_row_bias, grad_column_bias, None, None, None


def _column_shares(logits: Tensor, row_logits: Tensor, sums: Tensor, part: slice) -> Tensor:
    """Softmax over the rows, for a block of them (B, R, M)."""
    return (logits + row_logits[:, part, None]).sub_(sums[:, None]).exp_()


def _row_shares(logits: Tensor, column_logits: Tensor, sums: Tensor, part: slice) -> Tensor:
    """Softmax over the columns, for a block of rows (B, R, M)."""
    return (logits + column_logits[:, None]).sub_(sums[:, part, None]).exp_()
