"""From a network's maps to one map on the grid of the correspondence.

Stages of a pyramid are summed from the coarsest to the finest through 1x1 convolutions (FPN: Lin et
al., CVPR 2017). Blocks of a plain vision transformer have one grid; here, as in DPT (Ranftl et al.,
ICCV 2021), shallower blocks are spread over finer grids by transposed convolutions, in which each
token writes the details inside its patch, and are then summed in the same way.

The norm is over positions: it takes off what all positions share. Without that the features of any
two positions are nearly parallel at the start of a training, and a match by cosine starts flat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import Conv, at_least_float32, build_norm

Size = tuple[int, int]


class FeatureDecoder(nn.Module):
    """Maps, finest or shallowest first -> (B, `out_channels`, h, w) on a grid of any size.

    Args:
        channels: of each map.
        out_channels: of the result.
        width: channels inside.
        factors: how much finer each map is made on its way in; None leaves them as they are.
        norm: of the 3x3 convolutions, see `mcltoolkit.layers.build_norm`.
        slope: of the LeakyReLUs.

    Raises:
        ConfigError: a width below 1.
    """

    def __init__(
        self,
        channels: Sequence[int],
        out_channels: int,
        width: int,
        factors: Sequence[int] | None = None,
        norm: str = "instance",
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        for name, value in (("out_channels", out_channels), ("decoder_width", width)):
            if value < 1:
                raise ConfigError(f"TimmEncoder.{name} is {value}; allowed is 1 or more")
        factors = [1] * len(channels) if factors is None else factors
        self.lateral = nn.ModuleList(
            nn.Conv2d(c, width, 1) if f == 1 else nn.ConvTranspose2d(c, width, f, stride=f)
            for c, f in zip(channels, factors, strict=True)
        )
        self.refine = nn.ModuleList(
            nn.Sequential(
                Conv(width, width, 3, reflect=1), build_norm(norm, width), nn.LeakyReLU(slope)
            )
            for _ in channels
        )
        self.head = Conv(width, out_channels, 3, reflect=1)

    def forward(self, maps: Sequence[Tensor], grid: Size) -> Tensor:
        """Maps (B, c, h_i, w_i), coarser from one to the next or equal -> (B, out, *grid)."""
        levels = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=True)]
        x = self.refine[-1](levels[-1])
        for level, refine in reversed(list(zip(levels[:-1], self.refine[:-1], strict=True))):
            x = refine(resize(x, level.shape[-2:]) + level)
        return self.head(resize(x, grid))


def token_factors(count: int, patch: int, stride: int) -> list[int]:
    """How much finer the maps of `count` blocks are made, shallowest first: powers of 2, halved
    from one to the next; the first reaches `stride` from patches of `patch` pixels."""
    finest = 2 ** max(math.ceil(math.log2(patch / stride)), 0)
    return [max(finest >> i, 1) for i in range(count)]


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Map (B, C, H, W) interpolated to `size`, bilinearly, pixels' areas aligned; averaged over
    the area where it shrinks."""
    size = tuple(size)
    if tuple(x.shape[-2:]) == size:
        return x
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    full = at_least_float32(x)  # averaging is not there in half precision
    return F.interpolate(full, size, mode="bilinear", antialias=shrinks).to(x.dtype)
