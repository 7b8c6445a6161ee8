"""The plain formulas of `mcltoolkit.ops.spectral`: the weight divided by u^T W v, and autograd."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def spectral_weight(weight: Tensor, u: Tensor, v: Tensor, sigma: Tensor | None = None) -> Tensor:
    return weight / torch.dot(u.clone(), torch.mv(weight.flatten(1), v.clone()))


def spectral_conv2d(
    x: Tensor,
    weight: Tensor,
    u: Tensor,
    v: Tensor,
    sigma: Tensor | None = None,
    bias: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        normalised = spectral_weight(weight, u, v)
    return F.conv2d(x, normalised, bias, stride, padding, dilation)
