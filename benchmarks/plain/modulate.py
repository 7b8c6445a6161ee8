"""The plain formula of `mcltoolkit.ops.modulate`: every intermediate is a tensor that autograd
keeps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def modulate(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor | None = None,
    norm: str = "pono",
    eps: float = 1e-5,
    slope: float | None = None,
    pad: int = 0,
) -> Tensor:
    if beta is None:
        gamma, beta = gamma.chunk(2, dim=1)
    full = torch.promote_types(x.dtype, torch.float32)
    normal = x.to(full)
    if norm == "pono":
        var, mean = torch.var_mean(normal, dim=1, keepdim=True, correction=1)
        normal = (normal - mean) * torch.rsqrt(var + eps)
    result = normal * (1 + gamma.to(full)) + beta.to(full)
    if slope is not None:
        result = F.leaky_relu(result, slope)
    result = result.to(torch.promote_types(x.dtype, gamma.dtype))
    return F.pad(result, (pad, pad, pad, pad), mode="reflect") if pad else result
