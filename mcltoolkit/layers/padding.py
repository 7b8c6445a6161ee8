"""Reflection padding for maps of any size.

`torch.nn.functional.pad` refuses to reflect further than the map is wide, so a map of one row
cannot be padded at all. Here a reflection that runs out of the map is reflected again, and a single
row or column repeats itself: the convention of `numpy.pad(mode='reflect')`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcltoolkit import ops


def reflect_pad(x: Tensor, pad: int) -> Tensor:
    """Map (B, C, H, W) extended by `pad` pixels on every side: (B, C, H + 2 pad, W + 2 pad).

    Integers are padded, too, as torch's function does not.
    """
    if pad == 0:
        return x
    if min(x.shape[-2:]) > pad and x.is_floating_point():
        return ops.reflect_pad(x, pad)
    for dim in (-2, -1):
        x = x.index_select(dim, _reflected(x.shape[dim], pad, x.device))
    return x


def _reflected(size: int, pad: int, device: torch.device) -> Tensor:
    period = max(2 * (size - 1), 1)
    index = torch.arange(-pad, size + pad, device=device) % period
    return torch.where(index < size, index, period - index)
