"""Residual block of the correspondence network (CoCosNet, Zhang et al., CVPR 2020).

One PReLU (a single slope) serves both activations. Instance norm has no weights of its own, so
that the parameter names are those of the released checkpoints: conv1, conv2, prelu.
"""

from __future__ import annotations

from torch import Tensor, nn

from mcltoolkit.layers import Conv, InstanceNorm


class SharedResidualBlock(nn.Module):
    """[reflection pad, conv3x3, instance norm, PReLU, reflection pad, conv3x3, instance norm],
    the input added, the same PReLU: (B, C, h, w) -> (B, C, h, w).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, reflect=1)
        self.conv2 = Conv(channels, channels, 3, reflect=1)
        self.norm = InstanceNorm()
        self.prelu = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, h, w) with h, w >= 2, the least that reflection can pad."""
        inner = self.prelu(self.norm(self.conv1(x)))
        out: Tensor = self.prelu(self.norm(self.conv2(inner)) + x)
        return out
