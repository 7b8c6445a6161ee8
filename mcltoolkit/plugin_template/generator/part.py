"""Residual convolutions at full size.

Replace this with your idea and its source.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import GENERATORS
from mcltoolkit.layers import Conv, at_least_float32


@GENERATORS.register_module()
class MyPart(nn.Module):
    """Warped exemplar and condition -> image.

    See `mcltoolkit.interfaces.Generator`; a generator that takes only multiples of a size has an
    attribute `stride`.

    Args:
        context_channels: of both inputs together, filled in by the toolkit.
        width: channels inside.
        blocks: residual convolutions, >= 1.
    """

    def __init__(self, context_channels: int, width: int = 32, blocks: int = 3) -> None:
        super().__init__()
        self.first = Conv(context_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(Conv(width, width, 3, padding=1) for _ in range(blocks))
        self.last = Conv(width, 3, 3, padding=1)

    def forward(self, warped: Tensor, condition: Tensor) -> Tensor:
        """Paint the image.

        Args:
            warped: (B, 3, H, W), the exemplar in the condition's layout, in [-1, 1].
            condition: (B, C, H, W).

        Returns:
            (B, 3, H, W) in [-1, 1].
        """
        x = self.first(torch.cat([warped, condition], dim=1))
        for block in self.blocks:
            x = x + block(F.leaky_relu(x, 0.2))
        return torch.tanh(at_least_float32(self.last(F.leaky_relu(x, 0.2))))
