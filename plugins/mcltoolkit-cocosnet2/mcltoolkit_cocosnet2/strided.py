"""Any encoder behind strided convolutions, for larger images on the same grid."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import Conv, build_norm, check_divisible, init_weights, spectral
from mcltoolkit.registry import ENCODERS, build_component


@ENCODERS.register_module()
class StridedEncoder(nn.Module):
    """Image or condition (B, C, H, W) -> the inner encoder's features at `2^halvings` its stride.

    In front of the inner encoder stand `halvings` 3 x 3 convolutions of stride 2 with spectral norm
    and instance norm, LeakyReLU after each: the inner encoder sees `width` channels at a size that
    is halved as often. With `DomainEncoder` (stride 4) and one halving, 512 x 512 images get a
    64 x 64 grid.

    Args:
        in_channels: C.
        encoder: config of the inner encoder.
        halvings: >= 1.
        width: channels that the inner encoder gets.
        init_gain: see `init_weights`; of the convolutions in front.

    Attributes:
        out_channels: of the inner encoder.
        stride: H and W must be multiples of it.

    Raises:
        ConfigError: a setting outside its range.
    """

    def __init__(
        self,
        in_channels: int,
        encoder: Mapping[str, Any],
        halvings: int = 1,
        width: int = 64,
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        if halvings < 1:
            raise ConfigError(
                f"StridedEncoder.halvings is {halvings}; allowed is 1 or more, or use the inner "
                f"encoder itself"
            )
        widths = [in_channels] + [width] * halvings
        self.halve = nn.ModuleList(
            nn.Sequential(
                spectral(Conv(a, b, 3, 2, padding=1, bias=False)), build_norm("instance", b)
            )
            for a, b in pairwise(widths)
        )
        init_weights(self.halve, init_gain)
        self.encoder = build_component(
            ENCODERS, encoder, "the encoder of StridedEncoder", in_channels=width
        )
        self.out_channels = int(self.encoder.out_channels)
        self.stride = int(self.encoder.stride) << halvings

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, `out_channels`, H / `stride`, W / `stride`).

        Raises:
            ConfigError: H or W is not a multiple of `stride`.
        """
        check_divisible(x.shape[-2], x.shape[-1], self.stride, type(self).__name__)
        for layer in self.halve:
            x = F.leaky_relu(layer(x), 0.2)
        features: Tensor = self.encoder(x)
        return features
