"""Reflection padding that keeps nothing for its backward pass.

torch's keeps the map that it pads, for its size alone, and on an accelerator adds up gradients in
no fixed order. Here the border's gradients are added, strip by strip, to the pixels that they
reflect.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def reflect_pad(x: Tensor, pad: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H + 2 pad, W + 2 pad). First derivative only.

    Args:
        x: H and W greater than `pad`.
        pad: pixels on every side, >= 0.
    """
    if pad == 0:
        return x
    if torch.compiler.is_compiling():
        return F.pad(x, (pad, pad, pad, pad), mode="reflect")
    result: Tensor = _ReflectPad.apply(x, pad)
    return result


class _ReflectPad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pad: int) -> Tensor:
        ctx.pad = pad
        return F.pad(x, (pad, pad, pad, pad), mode="reflect")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return fold_border(grad, ctx.pad), None


def fill_border(x: Tensor, pad: int) -> None:
    """Write into the outermost `pad` pixels of `x` what the inner ones reflect to."""
    if pad == 0:
        return
    rows, columns = x[..., pad:-pad, :], x
    rows[..., :pad] = _mirrored(rows[..., pad + 1 : 2 * pad + 1], -1)
    rows[..., -pad:] = _mirrored(rows[..., -2 * pad - 1 : -pad - 1], -1)
    columns[..., :pad, :] = _mirrored(columns[..., pad + 1 : 2 * pad + 1, :], -2)
    columns[..., -pad:, :] = _mirrored(columns[..., -2 * pad - 1 : -pad - 1, :], -2)


def fold_border(grad: Tensor, pad: int) -> Tensor:
    """The gradient of a map from that of the padded one, which it leaves as it is."""
    if pad == 0:
        return grad
    narrow = grad[..., pad:-pad].clone()
    narrow[..., 1 : pad + 1] += _mirrored(grad[..., :pad], -1)
    narrow[..., -pad - 1 : -1] += _mirrored(grad[..., -pad:], -1)
    inner = narrow[..., pad:-pad, :]
    inner[..., 1 : pad + 1, :] += _mirrored(narrow[..., :pad, :], -2)
    inner[..., -pad - 1 : -1, :] += _mirrored(narrow[..., -pad:, :], -2)
    return inner


def _mirrored(border: Tensor, dim: int) -> Tensor:
    return border if border.shape[dim] == 1 else border.flip(dim)
