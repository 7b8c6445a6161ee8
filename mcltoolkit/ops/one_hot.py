"""Convolution and average pooling of one-hot maps, computed from the class ids.

At each position one channel of such a map is 1 and the others are 0, so a convolution adds one
column of weights a kernel tap, chosen by the id there: a gather in place of a product over all
channels, exact up to the order of the sum. The maps themselves never exist. The sum over taps and
its gradient are torch's `embedding_bag` with bags of one size: on the CPU a tenth of the time of
the dense convolution forward and a fifth backward at 151 classes (taps gathered one by one take as
long as the dense one), and deterministic.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.precision import autocast_dtype


def one_hot_conv2d(
    ids: Tensor,
    weight: Tensor,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """`F.conv2d(one_hot(ids), weight, None, stride, padding, dilation)`.

    The sum runs in the weight's precision, float32 under autocast; the gradient with respect to the
    weight is that of the dense formula.

    Args:
        ids: (B, H, W) int64 in [0, K).
        weight: (O, K, kh, kw).
        stride, dilation: steps between outputs and between taps.
        padding: rows and columns of zeros on every side.

    Returns:
        (B, O, H', W'), its memory ordered as channels_last, which is how the rows come out; under
        autocast in autocast's type.
    """
    out_channels, classes, height, width = weight.shape
    if padding:
        ids = F.pad(ids, (padding,) * 4, value=classes)  # the row of zeros
    windows = ids
    for dim, size in ((1, height), (2, width)):
        windows = windows.unfold(dim, (size - 1) * dilation + 1, stride)[..., ::dilation]
    taps = torch.arange(height * width, device=ids.device).view(height, width)
    rows = (windows + taps * (classes + 1)).flatten(3)  # (B, H', W', kh * kw)
    table = F.pad(weight.permute(2, 3, 1, 0), (0, 0, 0, 1)).reshape(-1, out_channels)
    sums = F.embedding_bag(rows.flatten(0, 2).int(), table, mode="sum")
    out = sums.view(*rows.shape[:3], out_channels).permute(0, 3, 1, 2)
    return out.to(autocast_dtype(out))


def one_hot_avg_pool2d(ids: Tensor, channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A one-hot map halved: `F.avg_pool2d(one_hot(ids), 3, 2, 1, count_include_pad=False)`, equal
    to the bit.

    Args:
        ids: (B, H, W) int64 in [0, K).
        channels: K.
        dtype: of the result.

    Returns:
        (B, K, ceil(H/2), ceil(W/2)): the share of each class in 3x3 windows.
    """
    inside = F.pad(torch.ones_like(ids, dtype=dtype), (1,) * 4)
    outside = F.pad(ids, (1,) * 4)
    windows, counted = (x.unfold(1, 3, 2).unfold(2, 3, 2).flatten(3) for x in (outside, inside))
    shares = counted.new_zeros(*windows.shape[:3], channels).permute(0, 3, 1, 2).contiguous()
    for tap in range(windows.shape[-1]):  # one value a position: no two additions meet
        shares.scatter_add_(1, windows[..., tap].unsqueeze(1), counted[..., tap].unsqueeze(1))
    return shares / counted.sum(-1).unsqueeze(1)
