"""Features on the grids above the coarse one, for both sides.

As in a feature pyramid (Lin et al., CVPR 2017), coarse descriptors, which know what a place is, are
upsampled level by level and joined with what strided convolutions of the side's own input see,
which knows where exactly. CoCosNet v2 has a whole encoder-decoder a side instead; here any encoder
of the toolkit gives the coarse descriptors. Both sides' descriptors live in one space, so the way
up is shared and only the ways in are separate: untrained, the finer features of both sides are
already comparable.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.correspondence import average_pool
from mcltoolkit.layers import Conv, InstanceNorm, at_least_float32, init_weights, unit_length


class Detail(nn.Module):
    """A side's input at the grids of all levels, finest first through strided convolutions.

    Args:
        in_channels: of the side's input.
        width: of the output at every level.
        levels: how many.
    """

    def __init__(self, in_channels: int, width: int, levels: int) -> None:
        super().__init__()
        self.first = Conv(in_channels, width, 3, reflect=1)
        self.down = nn.ModuleList(Conv(width, width, 3, 2, reflect=1) for _ in range(levels - 1))
        self.norm = InstanceNorm()

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, in, h, w) of the finest grid -> maps (B, width, h_l, w_l), coarsest first."""
        maps = [self.norm(self.first(x))]
        for layer in self.down:
            maps.insert(0, self.norm(layer(F.leaky_relu(maps[0], 0.2))))
        return maps


class FinerFeatures(nn.Module):
    """Unit vectors to compare on each level above the coarse grid.

    Args:
        descriptor_channels: D, of the coarse descriptors.
        inputs: {side: channels of its input}.
        levels: doublings above the coarse grid, >= 1.
        width: of the layers.
        embed: channels of the vectors.
    """

    def __init__(
        self,
        descriptor_channels: int,
        inputs: Mapping[str, int],
        levels: int,
        width: int = 64,
        embed: int = 32,
    ) -> None:
        super().__init__()
        self.detail = nn.ModuleDict(
            {side: Detail(channels, width, levels) for side, channels in inputs.items()}
        )
        self.enter = Conv(descriptor_channels, width, 1)
        self.join = nn.ModuleList(Conv(width, width, 3, reflect=1) for _ in range(levels))
        self.embed = nn.ModuleList(Conv(width, embed, 1) for _ in range(levels))
        self.norm = InstanceNorm()
        init_weights(self, gain=1.0)

    def forward(self, descriptors: Tensor, x: Tensor, side: str) -> list[Tensor]:
        """Vectors of each level.

        Args:
            descriptors: (B, D, h, w), coarse.
            x: (B, C, H, W), the side's input; H and W are multiples of the finest grid's.
            side: a key of `inputs`.

        Returns:
            (B, embed, 2^l h, 2^l w) for l = 1 .. levels, of mean 0 and length 1 over channels, in
            float32 at least.
        """
        levels = len(self.join)
        finest = (descriptors.shape[-2] << levels, descriptors.shape[-1] << levels)
        details = self.detail[side](average_pool(x, finest))
        features, found = self.norm(self.enter(descriptors)), []
        for detail, join, embed in zip(details, self.join, self.embed, strict=True):
            joined = F.interpolate(features, scale_factor=2, mode="nearest") + detail
            features = joined + self.norm(join(F.leaky_relu(joined, 0.2)))
            vectors = at_least_float32(embed(features))
            found.append(unit_length(vectors - vectors.mean(1, keepdim=True)))
        return found
