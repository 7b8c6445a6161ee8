"""Convolution of a map in pieces: each piece with its columns of the weight, the results added.

A convolution is a sum over input channels, so pieces may be convolved in the form they have: dense
ones as ever, one-hot ones as a gather (`ops.one_hot_conv2d`). No piece is copied into a joint map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcltoolkit import ops
from mcltoolkit.context import Context, OneHot
from mcltoolkit.layers.padding import reflect_pad


def context_conv2d(
    context: Context,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    reflect: int = 0,
) -> Tensor:
    """`F.conv2d` of the dense map, padded by reflection first.

    A piece of fewer samples than another counts for each group of that many: what fake and real
    images have in common, their conditions, is given and convolved once.

    Args:
        context: (B, C, H, W) in pieces of one size; B of each divides the largest.
        weight: (O, C, kh, kw).
        bias: (O,).
        stride, padding, dilation: of the convolution; zeros are padded.
        reflect: pixels of reflection on every side.

    Returns:
        (B, O, H', W'); channels_last in memory where a piece is one-hot.
    """
    gathers = any(isinstance(piece, OneHot) for piece in context.pieces)
    widths = [piece.shape[1] for piece in context.pieces]
    columns = weight.split(widths, dim=1) if len(widths) > 1 else (weight,)
    settings = ((stride,) * 2, (padding,) * 2, (dilation,) * 2)
    out: Tensor | None = None
    for piece, part in zip(context.pieces, columns, strict=True):
        if isinstance(piece, OneHot):
            ids = reflect_pad(piece.ids.unsqueeze(1), reflect).squeeze(1)
            term = ops.one_hot_conv2d(ids, part, stride, padding, dilation)
        else:
            # in the order of the gathered rows, so that the sum has none to change
            piece = piece.contiguous(memory_format=torch.channels_last) if gathers else piece
            dense = reflect_pad(piece, reflect)
            term = ops.conv2d(dense, part, None, *settings)
        out = term if out is None else _add(out, term)
    assert out is not None, "a context has at least one piece"
    return out if bias is None else out.add_(bias.to(out.dtype)[:, None, None])


def _add(one: Tensor, other: Tensor) -> Tensor:
    """The sum, in the memory of the larger one."""
    large, small = (one, other) if len(one) >= len(other) else (other, one)
    if len(large) == len(small):
        return large.add_(small)
    groups = large.unflatten(0, (-1, len(small)))
    return (groups + small).flatten(0, 1)
