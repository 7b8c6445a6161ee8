"""Softmax-weighted sums over all positions, in memory linear in the positions.

The forward pass makes a block of rows of the N x M matrix at a time and keeps the logarithm of each
row's sum; the backward pass makes the block again, as memory-efficient attention does (Rabe and
Staats 2021; the gradient's row means are FlashAttention's delta, Dao et al. 2022).

Both directions of a match come from the same block: while the rows are being summed up, the sums
over rows for the way back grow with a running maximum, as the warped values that they take are
those of the block itself. A cycle so costs no further N x M product, forward or backward.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.ops.blocks import LOG2E, Buffer, blocks, exporting, powers_
from mcltoolkit.precision import at_least_float32, without_autocast


def softmax_match(queries: Tensor, keys: Tensor, values: Tensor, scale: float = 1.0) -> Tensor:
    """values @ softmax_j(scale * queries^T keys)^T, without the N x M matrix.

    Computed in float32, or float64 if any is; differentiable once, by queries, keys and values.

    Args:
        queries: (B, D, N).
        keys: (B, D, M).
        values: (B, C, M).
        scale: of the product.

    Returns:
        (B, C, N), not in half precision.
    """
    if exporting():
        return _dense(queries, keys, values, scale)
    out, _ = SoftmaxMatch.apply(VectorPairs(scale), values, 0, queries, keys)
    return out  # type: ignore[no-any-return]


def softmax_cycle(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float = 1.0,
    channels: int | None = None,
) -> tuple[Tensor, Tensor]:
    """`softmax_match`, and its first channels brought back by the softmax over the queries.

    Args:
        queries, keys, values, scale: see `softmax_match`.
        channels: how many of the C channels go back, at least 1; None takes all.

    Returns:
        out = values @ softmax_j(S)^T, (B, C, N), and out[:, :channels] @ softmax_i(S),
        (B, channels, M), with S = scale * queries^T keys.
    """
    count = values.shape[1] if channels is None else channels
    if exporting():
        out = _dense(queries, keys, values, scale)
        return out, _dense(keys, queries, out[:, :count], scale)
    out, back = SoftmaxMatch.apply(VectorPairs(scale), values, count, queries, keys)
    return out, back


class Pairs(Protocol):
    """Logits of all pairs, a block of rows at a time, made of some tensors; and the way back of
    their gradient to those.

    Attributes:
        reads_logits: `pull` wants them.
    """

    reads_logits: bool

    def size(self, tensors: Sequence[Tensor]) -> tuple[int, int, int]:
        """B, N, M."""

    def blocks(self, tensors: Sequence[Tensor]) -> Iterator[tuple[slice, slice]]:
        """Samples and rows of the blocks, see `ops.blocks`."""

    def logits(self, tensors: Sequence[Tensor], some: slice, part: slice, buffer: Buffer) -> Tensor:
        """(b, R, M), to the base 2, perhaps in the buffer."""

    def zeros(self, tensors: Sequence[Tensor], needed: Sequence[bool]) -> list[Tensor | None]:
        """Where gradients of the needed tensors add up."""

    def pull(
        self,
        grads: list[Tensor | None],
        tensors: Sequence[Tensor],
        some: slice,
        part: slice,
        inner: Tensor,
        logits: Tensor,
    ) -> None:
        """Add what a block gives, whose `inner` is the gradient of its logits to the base e."""


class VectorPairs:
    """scale * queries^T keys, of queries (B, D, N) and keys (B, D, M)."""

    reads_logits = False

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def size(self, tensors: Sequence[Tensor]) -> tuple[int, int, int]:
        """See `Pairs`."""
        queries, keys = tensors
        return len(queries), queries.shape[2], keys.shape[2]

    def blocks(self, tensors: Sequence[Tensor]) -> Iterator[tuple[slice, slice]]:
        """See `Pairs`."""
        return blocks(*self.size(tensors), tensors[0].device)

    def logits(self, tensors: Sequence[Tensor], some: slice, part: slice, buffer: Buffer) -> Tensor:
        """See `Pairs`."""
        queries, keys = tensors
        these = queries[some, :, part] * (self.scale * LOG2E)
        room = buffer.of(these.shape[0], these.shape[2], keys.shape[2])
        return torch.bmm(these.mT, keys[some], out=room)

    def zeros(self, tensors: Sequence[Tensor], needed: Sequence[bool]) -> list[Tensor | None]:
        """See `Pairs`."""
        return [
            torch.zeros_like(x) if need else None for x, need in zip(tensors, needed, strict=True)
        ]

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
        (queries, keys), (grad_q, grad_k) = tensors, grads
        if grad_q is not None:
            grad_q[some, :, part] = torch.bmm(keys[some], inner.mT).mul_(self.scale)
        if grad_k is not None:
            grad_k[some].baddbmm_(queries[some, :, part], inner, alpha=self.scale)


class SoftmaxMatch(torch.autograd.Function):
    """(values weighed over rows, their first channels brought back) for any `Pairs`.

    `apply(pairs, values, channels, *tensors)`; channels 0 brings nothing back.
    """

    @staticmethod
    def forward(
        ctx: Any, pairs: Pairs, values: Tensor, channels: int, *given: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As torch calls it."""
        v, *tensors = _in_one_precision(values, *given)
        batch, rows, columns = pairs.size(tensors)
        out = v.new_empty((batch, v.shape[1], rows))
        row_sums = v.new_empty((batch, rows))
        back = v.new_zeros((batch, channels, columns))
        peaks = v.new_full((batch, columns), -torch.inf)
        totals = v.new_zeros((batch, columns))
        first, second = Buffer(v), Buffer(v)
        with without_autocast(v):
            for some, part in pairs.blocks(tensors):
                logits = pairs.logits(tensors, some, part, first)
                peak = logits.amax(2)
                room = second.of(*logits.shape) if channels else logits
                share = powers_(torch.sub(logits, peak[:, :, None], out=room))
                total = share.sum(2)
                row_sums[some, part] = peak + total.log2()
                found = torch.bmm(v[some], share.mT) / total[:, None]
                out[some, :, part] = found
                if channels:
                    peak = torch.maximum(peaks[some], logits.amax(1))
                    share = powers_(torch.sub(logits, peak[:, None], out=room))
                    fade = (peaks[some] - peak).exp2_()
                    totals[some] = totals[some] * fade + share.sum(1)
                    gain = torch.bmm(found[:, :channels], share)
                    back[some] = back[some] * fade[:, None] + gain
                    peaks[some] = peak
        column_sums = None
        if channels:
            back /= totals[:, None]
            column_sums = peaks + totals.log2()
        ctx.save_for_backward(values, out, back, row_sums, column_sums, *given)
        ctx.pairs, ctx.channels = pairs, channels
        return out, back

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor, grad_back: Tensor) -> tuple[Tensor | None, ...]:
        """As torch calls it."""
        values, out, back, row_sums, column_sums, *given = ctx.saved_tensors
        pairs, channels = ctx.pairs, ctx.channels
        needs_v, needed = ctx.needs_input_grad[1], ctx.needs_input_grad[3:]
        v, *tensors = _in_one_precision(values, *given)
        grads = pairs.zeros(tensors, needed)
        grad_v = torch.zeros_like(v) if needs_v else None
        first, second, third, fourth = (Buffer(v) for _ in range(4))
        back_mean = (grad_back * back).sum(1)  # of the gradients of a column's weights
        with without_autocast(v):
            for some, part in pairs.blocks(tensors):
                logits = pairs.logits(tensors, some, part, first)
                found, grad = out[some, :, part], grad_out[some, :, part]
                from_back = None
                if channels:
                    share = second.of(*logits.shape)
                    powers_(torch.sub(logits, column_sums[some, None], out=share))
                    more = torch.bmm(grad_back[some], share.mT)
                    grad = torch.cat([grad[:, :channels] + more, grad[:, channels:]], dim=1)
                    if any(needed):
                        from_back = third.of(*logits.shape)
                        torch.bmm(found[:, :channels].mT, grad_back[some], out=from_back)
                        from_back.sub_(back_mean[some, None]).mul_(share)
                room = fourth.of(*logits.shape) if pairs.reads_logits else logits
                share = powers_(torch.sub(logits, row_sums[some, part, None], out=room))
                if grad_v is not None:
                    grad_v[some].baddbmm_(grad, share)
                if not any(needed):
                    continue
                mean = (grad * found).sum(1)
                inner = torch.bmm(grad.mT, v[some], out=second.of(*logits.shape))
                inner.sub_(mean[:, :, None]).mul_(share)
                if from_back is not None:
                    inner.add_(from_back)
                pairs.pull(grads, tensors, some, part, inner, logits)
        back_in = [
            None if grad is None else grad.to(x.dtype)
            for grad, x in zip([grad_v, *grads], [values, *given], strict=True)
        ]
        return (None, back_in[0], None, *back_in[1:])


def _in_one_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    wide = [at_least_float32(x) for x in tensors]
    dtype = torch.float64 if any(x.dtype == torch.float64 for x in wide) else torch.float32
    return tuple(x.to(dtype) for x in wide)


def _dense(queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    with without_autocast(queries):
        queries, keys, values = _in_one_precision(queries, keys, values)
        weights = ((queries * scale).mT @ keys).softmax(2)
        return values @ weights.mT
