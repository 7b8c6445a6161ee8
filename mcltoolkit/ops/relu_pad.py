"""ReLU and reflection padding in one step, for groups of channels that go separate ways.

One after the other they keep two maps for the backward pass, the one before the padding and the
padded one, which the next convolution keeps anyway. The padded map alone tells where the ReLU was
open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mcltoolkit.ops.maps import memory_format_of
from mcltoolkit.ops.reflect_pad import fill_border, fold_border


def relu_reflect_pad(
    x: Tensor,
    widths: Sequence[int],
    pad: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> tuple[Tensor, ...]:
    """`F.pad(F.relu(group), [pad] * 4, mode="reflect")` for each group of channels.

    It has a first derivative only.

    Args:
        x: (B, C, H, W), C the sum of `widths`, H and W greater than `pad`.
        widths: channels of each group.
        pad: pixels of reflection on every side.
        memory_format: of the result; the gradient has that of `x`.

    Returns:
        (B, width, H + 2 pad, W + 2 pad) for each group.
    """
    if torch.compiler.is_compiling():  # who takes a graph fuses it
        return tuple(
            F.pad(F.relu(group), (pad,) * 4, mode="reflect")
            for group in x.split(list(widths), dim=1)
        )
    padded: tuple[Tensor, ...] = _ReluReflectPad.apply(x, tuple(widths), pad, memory_format)
    return padded


class _ReluReflectPad(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, widths: tuple[int, ...], pad: int, form: torch.memory_format
    ) -> tuple[Tensor, ...]:
        height, width = x.shape[-2:]
        padded = []
        for group in x.split(widths, dim=1):
            size = (*group.shape[:2], height + 2 * pad, width + 2 * pad)
            out = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=form)
            torch.clamp_min(group, 0, out=out[..., pad : pad + height, pad : pad + width])
            fill_border(out, pad)
            padded.append(out)
        ctx.save_for_backward(*padded)
        ctx.pad, ctx.form = pad, memory_format_of(x)
        return tuple(padded)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        pad, padded = ctx.pad, ctx.saved_tensors
        rows, columns = padded[0].shape[-2] - 2 * pad, padded[0].shape[-1] - 2 * pad
        channels = sum(out.shape[1] for out in padded)
        size = (padded[0].shape[0], channels, rows, columns)
        whole = grads[0].new_empty(size).to(memory_format=ctx.form)
        start = 0
        for grad, out in zip(grads, padded, strict=True):
            part = whole[:, start : start + out.shape[1]]
            start += out.shape[1]
            opened = out[..., pad : pad + rows, pad : pad + columns] > 0
            torch.mul(fold_border(grad, pad), opened, out=part)
        return whole, None, None, None
