"""SPADE, mask to image: the condition alone guides the generator (Park et al., CVPR 2019).

The appendix's figures of the generator and of the image encoder. Nothing is taken from released
code; see the class for what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.layers import (
    Conv,
    SPADEResBlock,
    at_least_float32,
    check_divisible,
    init_weights,
)
from mcltoolkit.registry import GENERATORS
from mcltoolkit.structures import Painting
from mcltoolkit_baselines.inputs import check_condition, condition_width
from mcltoolkit_baselines.style_encoder import StyleEncoder, draw_style, fixed_style

STYLES_AT_TEST = ("exemplar", "drawn")


@GENERATORS.register_module()
class SPADEImageGenerator(nn.Module):
    """Condition -> image, grown from a coarse grid; the exemplar gives the style, or nothing.

    With w the base width and u the doublings that halve the width (`ups`): the start, 2^u w
    channels on the coarse grid, is a 3x3 convolution of the shrunk condition; a head block;
    doubled; two middle blocks; u times doubled, then a block to half the width; LeakyReLU, 3x3
    convolution, tanh. All blocks see the condition only.

    With `use_vae` the start is a linear map of a style z instead, so that the exemplar sets it: in
    training z is drawn from the normal distribution that the `StyleEncoder` gives for the image in
    the place of the warped exemplar; in evaluation z is its mean, or one drawn style for all. Feed
    it from `IdentityCorrespondence`: a warped exemplar would give the layout away.

    Differences from the released SPADE: convolutions of the blocks pad by reflection (this
    toolkit's SPADE layers), not by zeros; the style is on a fixed `start_grid`, stretched with
    nearest where the coarse grid is another one; in evaluation z is the mean, not drawn from the
    exemplar's distribution; no instance-edge channel.

    Args:
        context_channels: filled in by the translator: guidance and condition channels together.
        guidance_channels: how many of these are not the condition; they are not read.
        base_width: w, width of the last block.
        ups: u, >= 1.
        spade_hidden, spade_norm, kernel: width, normalisation and kernel inside SPADE. Published:
            'syncbn'. 'instance' takes the mean of each channel of the start away.
        slope: of the LeakyReLUs.
        init_gain: see `mcltoolkit.layers.init_weights`.
        use_vae: start from a style.
        style: settings of the `StyleEncoder`, for `use_vae`.
        start_grid: (h, w) of the start that the linear map makes: the coarse grid of the training,
            its image size over `stride`.
        style_at_test: `exemplar` (the mean of its distribution), or `drawn` (from N(0, I), one
            style for all samples).
        style_seed: of the drawn style.

    Attributes:
        stride: 2^(u + 1), size of the output over that of the coarse grid.
        provides: `style_mean` and `style_logvar`, (B, D) each, with `use_vae`.

    Raises:
        ConfigError: a setting outside its range.
    """

    provides = frozenset({"style_mean", "style_logvar"})

    def __init__(
        self,
        context_channels: int,
        guidance_channels: int = 3,
        base_width: int = 64,
        ups: int = 4,
        spade_hidden: int = 128,
        spade_norm: str = "syncbn",
        kernel: int = 3,
        slope: float = 0.2,
        init_gain: float = 0.02,
        use_vae: bool = False,
        style: Mapping[str, Any] | None = None,
        start_grid: tuple[int, int] = (8, 8),
        style_at_test: str = "exemplar",
        style_seed: int = 0,
    ) -> None:
        super().__init__()
        if ups < 1:
            raise ConfigError(f"SPADEImageGenerator.ups is {ups}; allowed is 1 or more")
        if style_at_test not in STYLES_AT_TEST:
            raise ConfigError(
                f"SPADEImageGenerator.style_at_test is {style_at_test!r}"
                f"{near_matches(style_at_test, STYLES_AT_TEST)}; allowed are "
                f"{', '.join(STYLES_AT_TEST)}"
            )
        if style is not None and not use_vae:
            raise ConfigError(
                "SPADEImageGenerator.style is set but use_vae is False, so no style is encoded; "
                "set use_vae=True, or leave style out"
            )
        self.condition_channels = condition_width(self, context_channels, guidance_channels)
        self.stride = 2 ** (ups + 1)
        self.slope = slope
        self.style_at_test = style_at_test
        self.style_seed = style_seed
        wide = base_width * 2**ups
        widths = {"head": (wide, wide), "middle_0": (wide, wide), "middle_1": (wide, wide)}
        widths |= {f"up_{i}": (wide >> i, wide >> (i + 1)) for i in range(ups)}
        self.doubled_before = frozenset(widths) - {"head", "middle_1"}
        encoder: StyleEncoder | None = None
        if use_vae:
            encoder = _build_style({"slope": slope, "init_gain": init_gain, **(style or {})})
        self.stages = nn.ModuleDict(
            {
                name: SPADEResBlock(
                    *ends, self.condition_channels, spade_hidden, spade_norm, kernel, slope=slope
                )
                for name, ends in widths.items()
            }
        )
        self.last = Conv(base_width, 3, 3, padding=1)
        if encoder is None:
            self.provides = frozenset()
            self.first: nn.Module = Conv(self.condition_channels, wide, 3, padding=1)
        else:
            rows, columns = _checked_grid(start_grid)
            self.first = nn.Sequential(
                nn.Linear(encoder.style_channels, wide * rows * columns),
                nn.Unflatten(1, (wide, rows, columns)),
            )
        init_weights(self, init_gain)
        self.style = encoder  # after the draw above: its settings have a gain of its own

    def forward(self, warped: Tensor, condition: Tensor) -> Tensor | Painting:
        """Paint the image.

        Args:
            warped: (B, 3, H, W) in [-1, 1]: the image whose style is encoded, or not read.
            condition: (B, C, H, W).

        Returns:
            (B, 3, H, W) in [-1, 1]; with `use_vae` a `Painting` of it, see `provides`.

        Raises:
            ConfigError: H or W is not a multiple of `stride`, or C is not what the network takes.
        """
        check_condition(self, condition)
        height, width = condition.shape[-2:]
        check_divisible(height, width, self.stride, type(self).__name__)
        coarse = (height // self.stride, width // self.stride)
        if self.style is None:
            shrunk = F.interpolate(condition, size=coarse, mode="nearest")
            return self._grow(self.first(shrunk), condition)
        mean, logvar = self.style(warped)
        if self.training:
            z = draw_style(mean, logvar)
        elif self.style_at_test == "exemplar":
            z = mean
        else:
            z = fixed_style(self.style_seed, mean)
        start = F.interpolate(self.first(z), size=coarse, mode="nearest")
        image = self._grow(start, condition)
        return Painting(image, {"style_mean": mean, "style_logvar": logvar})

    def _grow(self, x: Tensor, condition: Tensor) -> Tensor:
        for name, stage in self.stages.items():
            if name in self.doubled_before:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = stage(x, condition)
        return torch.tanh(at_least_float32(self.last(F.leaky_relu(x, self.slope))))


def _checked_grid(grid: tuple[int, int]) -> tuple[int, int]:
    if len(grid) != 2 or min(grid) < 1:
        raise ConfigError(
            f"SPADEImageGenerator.start_grid is {tuple(grid)}; allowed are (rows, columns) of at "
            f"least 1, the training's image size over the stride"
        )
    return int(grid[0]), int(grid[1])


def _build_style(settings: Mapping[str, Any]) -> StyleEncoder:
    try:
        return StyleEncoder(**settings)
    except TypeError as error:
        raise ConfigError(
            f"SPADEImageGenerator.style does not fit the StyleEncoder: {error}; settings given: "
            f"{sorted(settings)}"
        ) from error
