"""The SPADE generator: MCL-Net supplement, Fig. 1; SPADE (Park et al., CVPR 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.context import Context, OneHot
from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import (
    Conv,
    NonLocalAttention,
    SPADEResBlock,
    at_least_float32,
    check_divisible,
    init_weights,
    suited,
)
from mcltoolkit.registry import GENERATORS


@GENERATORS.register_module()
class SPADEGenerator(nn.Module):
    """Warped exemplar and condition -> image, grown from a coarse grid under their guidance.

    With w the base width and u the doublings that halve the width (`ups`): a 3x3 convolution of the
    context, shrunk to the coarse grid, gives 2^u w channels; a head block; doubled; two middle
    blocks; u times doubled, then a block to half the width; LeakyReLU, 3x3 convolution, tanh. The
    non-local attention comes just before the last block but one, at half the output size.

    Args:
        context_channels: 3 + C.
        base_width: w, width of the last block.
        ups: u, >= 1.
        spade_hidden, spade_norm, kernel: width, normalisation and kernel inside SPADE.
        attention: have the non-local attention.
        slope: of the LeakyReLUs.
        init_gain: see `init_weights`.

    Attributes:
        stride: 2^(u + 1), size of the output over that of the coarse grid.

    Raises:
        ConfigError: a setting outside its range.
    """

    def __init__(
        self,
        context_channels: int,
        base_width: int = 64,
        ups: int = 4,
        spade_hidden: int = 128,
        spade_norm: str = "pono",
        attention: bool = True,
        kernel: int = 3,
        slope: float = 0.2,
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        if ups < 1:
            raise ConfigError(f"SPADEGenerator.ups is {ups}; allowed is 1 or more")
        self.context_channels = context_channels
        self.stride = 2 ** (ups + 1)
        self.slope = slope
        wide = base_width * 2**ups
        widths = {"head": (wide, wide), "middle_0": (wide, wide), "middle_1": (wide, wide)}
        widths |= {f"up_{i}": (wide >> i, wide >> (i + 1)) for i in range(ups)}
        doubled = {name for name in widths if name not in ("head", "middle_1")}

        self.first = Conv(context_channels, wide, 3, padding=1)
        self.stages = nn.ModuleDict()
        for name, (width_in, width_out) in widths.items():
            if attention and name == list(widths)[-2]:
                self.stages["attention"] = NonLocalAttention(width_in)
                if name in doubled:
                    doubled = doubled - {name} | {"attention"}
            self.stages[name] = SPADEResBlock(
                width_in, width_out, context_channels, spade_hidden, spade_norm, kernel, slope=slope
            )
        self.doubled_before = frozenset(doubled)
        self.last = Conv(base_width, 3, 3, padding=1)
        init_weights(self, init_gain)

    takes_context = True

    def forward(self, warped: Tensor, condition: Tensor | OneHot) -> Tensor:
        """Paint the image.

        Args:
            warped: (B, 3, H, W), the exemplar in the condition's layout, in [-1, 1].
            condition: (B, C, H, W), dense or `OneHot`.

        Returns:
            (B, 3, H, W) in [-1, 1].

        Raises:
            ConfigError: H or W is not a multiple of `stride`, or C is not what the network takes.
        """
        height, width = condition.shape[-2:]
        check_divisible(height, width, self.stride, type(self).__name__)
        context = Context([warped, condition])
        if context.shape[1] != self.context_channels:
            raise ConfigError(
                f"SPADEGenerator got a condition of {condition.shape[1]} channels; it takes "
                f"{self.context_channels - warped.shape[1]}: set model.condition_channels to fit "
                f"the data"
            )
        coarse = (height // self.stride, width // self.stride)
        x = self.first(context.at(coarse, warped.dtype).simplest)
        for name, stage in self.stages.items():
            if name in self.doubled_before:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = suited(x, stage)
            x = stage(x) if isinstance(stage, NonLocalAttention) else stage(x, context)
        return torch.tanh(at_least_float32(self.last(ops.leaky_relu(x, self.slope))))
