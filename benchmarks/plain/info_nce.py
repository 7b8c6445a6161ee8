"""Plain form of `mcltoolkit.ops.info_nce`."""

from __future__ import annotations

import torch
from torch import Tensor


def contrast_sums(anchor: Tensor, others: Tensor, own: Tensor, scale: float = 1.0) -> Tensor:
    dtype = torch.promote_types(anchor.dtype, torch.float32)
    with torch.autocast(anchor.device.type, enabled=False):
        logits = (anchor.to(dtype) * scale) @ others.to(dtype).transpose(1, 2)
        logits = torch.diagonal_scatter(logits, own.to(dtype), dim1=1, dim2=2)
        return logits.logsumexp(dim=2)
