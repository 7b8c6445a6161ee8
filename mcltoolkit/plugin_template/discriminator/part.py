"""Strided convolutions to a map of scores, one for each patch.

Replace this with your idea and its source.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import DISCRIMINATORS
from mcltoolkit.layers import Conv, spectral
from mcltoolkit.structures import DiscriminatorPass


@DISCRIMINATORS.register_module()
class MyPart(nn.Module):
    """Condition and image -> layer outputs, the score map last.

    Real and fake images come stacked along the batch, so samples must not influence each other;
    see `mcltoolkit.interfaces.Discriminator`.

    Args:
        in_channels: C + 3, filled in by the toolkit.
        width: of the first layer; doubled by each further one.
        layers: before the scores, >= 1.
    """

    def __init__(self, in_channels: int, width: int = 16, layers: int = 3) -> None:
        super().__init__()
        widths = [in_channels, *(width * 2**i for i in range(layers))]
        self.layers = nn.ModuleList(
            spectral(Conv(widths[i], widths[i + 1], 4, stride=2, padding=1)) for i in range(layers)
        )
        self.scores = Conv(widths[-1], 1, 3, padding=1)

    def forward(self, condition: Tensor, image: Tensor) -> DiscriminatorPass:
        """Judge images (B, 3, H, W) under their conditions (B, C, H, W)."""
        x = torch.cat([condition, image], dim=1)
        outputs = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            outputs.append(x)
        return DiscriminatorPass([[*outputs, self.scores(x)]])
