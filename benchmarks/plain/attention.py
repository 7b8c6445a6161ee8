"""Plain form of `mcltoolkit.ops.attention`."""

from __future__ import annotations

import torch
from torch import Tensor


def attention(queries: Tensor, keys: Tensor, values: Tensor, scale: float = 1.0) -> Tensor:
    dtype = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys, values = (x.to(dtype) for x in (queries, keys, values))
        weights = ((queries * scale).transpose(1, 2) @ keys).softmax(2)
        return values @ weights.transpose(1, 2)
