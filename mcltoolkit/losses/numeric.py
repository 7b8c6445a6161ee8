"""The precision that losses are computed in."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """`x` in float32, or untouched where it is float64."""
    return x if x.dtype == torch.float64 else x.float()
