"""The plain form of `mcltoolkit.ops.conv`: torch's own convolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[int, ...] = (0, 0),
    dilation: tuple[int, ...] = (1, 1),
) -> Tensor:
    return F.conv2d(x, weight, bias, stride, padding, dilation)
