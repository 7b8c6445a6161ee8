"""Plain form of `mcltoolkit.ops.contextual`: distances and affinities of all pairs."""

from __future__ import annotations

import torch
from torch import Tensor


def contextual_affinity(
    source: Tensor, target: Tensor, bandwidth: float = 0.1, floor: float = 1e-3
) -> Tensor:
    dtype = torch.promote_types(source.dtype, torch.float32)
    with torch.autocast(source.device.type, enabled=False):
        distance = 1 - source.to(dtype).transpose(1, 2) @ target.to(dtype)
        nearest = distance.amin(dim=2, keepdim=True)
        logits = (1 - distance / (nearest.clamp_min(0) + floor)) / bandwidth
        return logits.amax(dim=2) - logits.logsumexp(dim=2)
