"""The plain form of `mcltoolkit.ops.reflect_pad`."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def reflect_pad(x: Tensor, pad: int) -> Tensor:
    return F.pad(x, (pad, pad, pad, pad), mode="reflect")
