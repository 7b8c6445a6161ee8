"""Plain form of `mcltoolkit.ops.softmax_match`: the whole matrix, differentiated by autograd."""

from __future__ import annotations

import torch
from torch import Tensor


def softmax_match(queries: Tensor, keys: Tensor, values: Tensor, scale: float = 1.0) -> Tensor:
    dtype = torch.promote_types(torch.promote_types(queries.dtype, values.dtype), torch.float32)
    queries, keys, values = queries.to(dtype), keys.to(dtype), values.to(dtype)
    with torch.autocast(queries.device.type, enabled=False):
        weights = ((queries * scale).transpose(1, 2) @ keys).softmax(2)
        return values @ weights.transpose(1, 2)


def softmax_cycle(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float = 1.0,
    channels: int | None = None,
) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(torch.promote_types(queries.dtype, values.dtype), torch.float32)
    queries, keys, values = queries.to(dtype), keys.to(dtype), values.to(dtype)
    with torch.autocast(queries.device.type, enabled=False):
        logits = (queries * scale).transpose(1, 2) @ keys
        out = values @ logits.softmax(2).transpose(1, 2)
        return out, out[:, :channels] @ logits.softmax(1)
