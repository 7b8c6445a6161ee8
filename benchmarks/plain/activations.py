"""The plain forms of `mcltoolkit.ops.activations`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    return F.leaky_relu(x, slope)


def instance_norm(x: Tensor, eps: float = 1e-5, slope: float | None = None) -> Tensor:
    full = x.to(torch.promote_types(x.dtype, torch.float32))
    var, mean = torch.var_mean(full, dim=(2, 3), keepdim=True, correction=0)
    normal = (full - mean) * torch.rsqrt(var + eps)
    return (normal if slope is None else F.leaky_relu(normal, slope)).to(x.dtype)
