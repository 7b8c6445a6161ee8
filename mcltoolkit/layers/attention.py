"""Non-local attention of image networks.

Wang et al., Non-local Neural Networks (CVPR 2018), in the form of SAGAN (Zhang et al., ICML 2019):
o(softmax(theta(x)^T phi(x)) g(x)), times a gain that starts at 0, added to x.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.layers.conv import Conv, spectral


class NonLocalAttention(nn.Module):
    """Every position looks at all positions of the map, halved in size by maximum.

    Odd sizes work: the last row or column is then pooled on its own. The N x N/4 matrix is never
    held (`ops.attention`).

    Args:
        channels: C; queries and keys have C/8 channels, values C/2.
        spectral_norm: normalise the four convolutions.
    """

    def __init__(self, channels: int, spectral_norm: bool = True) -> None:
        super().__init__()
        narrow, wide = max(channels // 8, 1), max(channels // 2, 1)

        def conv(width_in: int, width_out: int) -> Conv:
            plain = Conv(width_in, width_out, 1, bias=False)
            return spectral(plain) if spectral_norm else plain

        self.gain = nn.Parameter(torch.zeros(()))
        self.query = conv(channels, narrow)
        self.key = conv(channels, narrow)
        self.value = conv(channels, wide)
        self.out = conv(wide, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        queries = self.query(x).flatten(2)
        keys = _pool(self.key(x)).flatten(2)
        values = _pool(self.value(x)).flatten(2)
        attended = ops.attention(queries, keys, values).unflatten(2, x.shape[-2:])
        return x + (self.gain * self.out(attended.to(x.dtype))).to(x.dtype)


def _pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, ceil_mode=True)
