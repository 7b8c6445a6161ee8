"""One-hot maps made, then convolved and pooled as any map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def one_hot_conv2d(
    ids: Tensor, weight: Tensor, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Tensor:
    """See `mcltoolkit.ops.one_hot_conv2d`."""
    dense = _one_hot(ids, weight.shape[1], weight.dtype)
    return F.conv2d(dense, weight, None, stride, padding, dilation)


def one_hot_avg_pool2d(ids: Tensor, channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """See `mcltoolkit.ops.one_hot_avg_pool2d`."""
    return F.avg_pool2d(_one_hot(ids, channels, dtype), 3, 2, 1, count_include_pad=False)


def _one_hot(ids: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    return F.one_hot(ids, channels).permute(0, 3, 1, 2).contiguous().to(dtype)
