"""The style encoder of SPADE's variational option: an image -> a normal distribution of styles.

SPADE (Park et al., CVPR 2019), section 3 "Multi-modal synthesis" and the appendix's figure of the
image encoder; reparameterisation: Kingma and Welling, ICLR 2014.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import Conv, at_least_float32, build_norm, init_weights, spectral

_WIDEST = 8


class StyleEncoder(nn.Module):
    """Convolutions of stride 2, then two linear layers: mean and log-variance of the style.

    With w the base width: 3x3 convolutions to w, 2w, 4w, 8w, 8w, ..., each with spectral norm, no
    bias, a normalisation and LeakyReLU. The defaults are the published encoder: six convolutions
    take a 256 x 256 image to 512 x 4 x 4. Maps of other sizes are averaged to `pooled` x `pooled`
    cells; the paper resizes the image instead.

    Args:
        style_channels: D, numbers of a style.
        base_width: w.
        layers: number of convolutions, >= 1.
        pooled: side of the map that the linear layers read.
        norm: see `mcltoolkit.layers.build_norm`.
        slope: of the LeakyReLUs.
        init_gain: see `mcltoolkit.layers.init_weights`.

    Raises:
        ConfigError: a setting below 1.
    """

    def __init__(
        self,
        style_channels: int = 256,
        base_width: int = 64,
        layers: int = 6,
        pooled: int = 4,
        norm: str = "instance",
        slope: float = 0.2,
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        for name, value in (
            ("style_channels", style_channels),
            ("base_width", base_width),
            ("layers", layers),
            ("pooled", pooled),
        ):
            if value < 1:
                raise ConfigError(f"StyleEncoder.{name} is {value}; allowed is 1 or more")
        self.style_channels = style_channels
        self.pooled = pooled
        self.slope = slope
        widths = [3, *(base_width * min(2**i, _WIDEST) for i in range(layers))]
        self.stages = nn.ModuleList(
            nn.Sequential(
                spectral(Conv(narrow, wide, 3, stride=2, padding=1, bias=False)),
                build_norm(norm, wide),
            )
            for narrow, wide in pairwise(widths)
        )
        self.mean = nn.Linear(widths[-1] * pooled**2, style_channels)
        self.logvar = nn.Linear(widths[-1] * pooled**2, style_channels)
        init_weights(self, init_gain)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) in [-1, 1] -> mean and log-variance, (B, D) each, float32 at least.

        Raises:
            ConfigError: an image that shrinks to a single position, whose normalised map says
                nothing.
        """
        x = image
        for stage in self.stages:
            x = F.leaky_relu(stage(x), self.slope)
        if x.shape[-2:].numel() == 1:
            raise ConfigError(
                f"StyleEncoder cannot take a {image.shape[-2]}x{image.shape[-1]} image: after "
                f"{len(self.stages)} halvings a single position is left; lower "
                f"generator.style.layers or use larger images"
            )
        if tuple(x.shape[-2:]) != (self.pooled, self.pooled):
            x = F.adaptive_avg_pool2d(x, self.pooled)
        x = x.flatten(1)
        return at_least_float32(self.mean(x)), at_least_float32(self.logvar(x))


def draw_style(mean: Tensor, logvar: Tensor) -> Tensor:
    """A style from N(mean, exp(logvar)), with gradient in both: (B, D), float32 at least.

    The noise comes from the device's generator.
    """
    mean, logvar = at_least_float32(mean), at_least_float32(logvar)
    return mean + torch.randn_like(mean) * (logvar / 2).exp()


def fixed_style(seed: int, like: Tensor) -> Tensor:
    """One style from N(0, I) for all samples, the same for a seed: the shape of `like` (B, D).

    Drawn on the CPU, so that a seed means the same style on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(like.shape[1], generator=generator, device="cpu")
    return drawn.to(like).expand_as(like)
