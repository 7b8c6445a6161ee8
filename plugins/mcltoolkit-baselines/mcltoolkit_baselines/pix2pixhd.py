"""The generator of pix2pixHD: a global network, refined by local enhancers.

Wang et al., CVPR 2018: section 3.1 on the coarse-to-fine generator, and the appendix's layer lists:
c7s1-64, d128, d256, d512, d1024, nine R1024, u512, u256, u128, u64, c7s1-3; local enhancer c7s1-32,
d64, three R64, u32, c7s1-3.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.layers import Conv, at_least_float32, build_norm, check_divisible
from mcltoolkit.registry import GENERATORS
from mcltoolkit_baselines.inputs import check_condition, condition_width

UPSAMPLINGS = ("transposed", "nearest")
NORMS = ("instance", "bn", "syncbn")
_EDGE = 7  # kernel of the first and the last layer


class ResidualBlock(nn.Module):
    """x + [reflection-padded 3x3 convolution, norm, ReLU, the same without ReLU]."""

    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Conv(width, width, 3, reflect=1, bias=False),
            build_norm(norm, width),
            nn.ReLU(),
            Conv(width, width, 3, reflect=1, bias=False),
            build_norm(norm, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        out: Tensor = x + self.layers(x)
        return out


class LocalEnhancer(nn.Module):
    """Joins a twice as fine view of the input to the features from below.

    Args:
        in_channels: of the network's input.
        width: of the output; the features from below have twice as many.
        blocks: residual blocks.
        norm, upsampling: see `Pix2PixHDGenerator`.
    """

    def __init__(
        self, in_channels: int, width: int, blocks: int, norm: str, upsampling: str
    ) -> None:
        super().__init__()
        self.down = nn.Sequential(_edge(in_channels, width, norm), _down(width, 2 * width, norm))
        self.blocks = nn.Sequential(*(ResidualBlock(2 * width, norm) for _ in range(blocks)))
        self.up = _up(2 * width, width, norm, upsampling)

    def forward(self, view: Tensor, features: Tensor) -> Tensor:
        """View (B, C, H, W), features (B, 2 width, H/2, W/2) -> (B, width, H, W)."""
        out: Tensor = self.up(self.blocks(self.down(view) + features))
        return out


@GENERATORS.register_module()
class Pix2PixHDGenerator(nn.Module):
    """Condition -> image, without normalisation by the condition; the exemplar as an option.

    With w the base width: 7x7 convolution (w), `downs` convolutions of stride 2 that double the
    width, residual blocks, as many doublings of the size that halve the width, 7x7 convolution,
    tanh. Each `LocalEnhancer` works at twice the size and half the width; the global network then
    sees the input that many times averaged down.

    Differences from the paper: all networks are trained at once, the paper trains the global one
    first (`coarse` has the same weights with and without enhancers, for who wants to bring them
    over); no instance-edge channel and no instance-wise feature encoder; no biases before a norm,
    which would cancel them.

    Args:
        context_channels: filled in by the translator: guidance and condition channels together.
        guidance_channels: how many of these are the guidance, 3 for a warped exemplar.
        use_warped: read the guidance, too, in front of the condition, which makes this a generator
            for any correspondence; False: mask to image.
        base_width: w of the global network.
        downs: halvings of the global network, >= 1.
        blocks, enhancer_blocks: residual blocks of the global network and of each enhancer.
        enhancers: number of local enhancers; w must be divisible by 2 to that power.
        upsampling: `transposed` (3x3 transposed convolution, as published), or `nearest` (doubled,
            then a 3x3 convolution: no checkerboard).
        norm: 'instance' as published, 'bn' or 'syncbn'; see `mcltoolkit.layers.build_norm`.
        init_std: of the normal distribution of the initial weights.

    Attributes:
        stride: 2^(downs + enhancers); H and W must be multiples of it.

    Raises:
        ConfigError: a setting outside its range.
    """

    def __init__(
        self,
        context_channels: int,
        guidance_channels: int = 3,
        use_warped: bool = False,
        base_width: int = 64,
        downs: int = 4,
        blocks: int = 9,
        enhancers: int = 0,
        enhancer_blocks: int = 3,
        upsampling: str = "transposed",
        norm: str = "instance",
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        _check_choice("upsampling", upsampling, UPSAMPLINGS)
        _check_choice("norm", norm, NORMS)
        if downs < 1 or min(blocks, enhancers, enhancer_blocks) < 0:
            raise ConfigError(
                f"Pix2PixHDGenerator has downs {downs}, blocks {blocks}, enhancers {enhancers}, "
                f"enhancer_blocks {enhancer_blocks}; allowed are 0 or more, downs 1 or more"
            )
        if base_width < 2**enhancers or base_width % 2**enhancers:
            raise ConfigError(
                f"Pix2PixHDGenerator.base_width is {base_width}, which {enhancers} enhancers "
                f"cannot halve; allowed are multiples of {2**enhancers}"
            )
        self.condition_channels = condition_width(self, context_channels, guidance_channels)
        self.use_warped = use_warped
        self.stride = 2 ** (downs + enhancers)
        channels = context_channels if use_warped else self.condition_channels
        widths = [base_width * 2**i for i in range(downs + 1)]
        steps = list(pairwise(widths))
        self.coarse = nn.Sequential(
            _edge(channels, base_width, norm),
            *(_down(narrow, wide, norm) for narrow, wide in steps),
            *(ResidualBlock(widths[-1], norm) for _ in range(blocks)),
            *(_up(wide, narrow, norm, upsampling) for narrow, wide in reversed(steps)),
        )
        self.enhancers = nn.ModuleList(
            LocalEnhancer(channels, base_width >> i, enhancer_blocks, norm, upsampling)
            for i in range(1, enhancers + 1)
        )
        self.last = Conv(base_width >> enhancers, 3, _EDGE, reflect=_EDGE // 2)
        _initialise(self, init_std)

    def forward(self, warped: Tensor, condition: Tensor) -> Tensor:
        """Paint the image.

        Args:
            warped: (B, G, H, W), the warped exemplar or other guidance; read with `use_warped`.
            condition: (B, C, H, W).

        Returns:
            (B, 3, H, W) in [-1, 1].

        Raises:
            ConfigError: H or W is not a multiple of `stride`, or C is not what the network takes.
        """
        check_condition(self, condition)
        height, width = condition.shape[-2:]
        check_divisible(height, width, self.stride, type(self).__name__)
        view = torch.cat([warped, condition], dim=1) if self.use_warped else condition
        views = [view]
        for _ in self.enhancers:
            views.append(F.avg_pool2d(views[-1], 3, 2, padding=1, count_include_pad=False))
        features = self.coarse(views.pop())
        for enhancer in self.enhancers:
            features = enhancer(views.pop(), features)
        return torch.tanh(at_least_float32(self.last(features)))


def _edge(width_in: int, width_out: int, norm: str) -> nn.Sequential:
    conv = Conv(width_in, width_out, _EDGE, reflect=_EDGE // 2, bias=False)
    return nn.Sequential(conv, build_norm(norm, width_out), nn.ReLU())


def _down(width_in: int, width_out: int, norm: str) -> nn.Sequential:
    conv = Conv(width_in, width_out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, build_norm(norm, width_out), nn.ReLU())


def _up(width_in: int, width_out: int, norm: str, upsampling: str) -> nn.Sequential:
    layers: list[nn.Module]
    if upsampling == "transposed":
        layers = [
            nn.ConvTranspose2d(
                width_in, width_out, 3, stride=2, padding=1, output_padding=1, bias=False
            )
        ]
    else:
        layers = [
            nn.Upsample(scale_factor=2, mode="nearest"),
            Conv(width_in, width_out, 3, padding=1, bias=False),
        ]
    return nn.Sequential(*layers, build_norm(norm, width_out), nn.ReLU())


@torch.no_grad()
def _initialise(module: nn.Module, std: float) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _check_choice(setting: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"Pix2PixHDGenerator.{setting} is {value!r}{near_matches(value, allowed)}; allowed are "
            f"{', '.join(allowed)}"
        )
