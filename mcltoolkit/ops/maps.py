"""Precision and memory format of maps (B, C, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(x: Tensor) -> torch.dtype:
    """The type to compute in: float32, or that of `x` where it is wider."""
    return torch.promote_types(x.dtype, torch.float32)


def memory_format_of(x: Tensor) -> torch.memory_format:
    """channels_last for a map (B, C, H, W) that is so in memory, and not contiguous as well."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format
