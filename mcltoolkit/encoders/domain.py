"""The domain encoder: five convolutions, then SPADE blocks that see the input again.

MCL-Net supplement, Fig. 3; CoCosNet (Zhang et al., CVPR 2020). The condition and the image each
have one, of the same shape with separate weights.
"""

from __future__ import annotations

from torch import Tensor, nn

from mcltoolkit.context import Context, OneHot
from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import (
    Conv,
    ConvNorm,
    NonLocalAttention,
    SPADEResBlock,
    build_norm,
    check_divisible,
    init_weights,
    spectral,
    suited,
)
from mcltoolkit.registry import ENCODERS

_EXTRA_DILATIONS = (1, 2, 4)
_SMOOTHING_DILATIONS = (2, 1)


@ENCODERS.register_module()
class DomainEncoder(nn.Module):
    """Condition or image (B, C, H, W) -> features (B, `out_channels`, H/`stride`, W/`stride`).

    With w the base width: 3x3 (w), k x k stride 2 (2w), 3x3 (4w), k x k `second_stride` (8w), 3x3
    (8w), each with spectral norm, no bias and a normalisation, LeakyReLU between them; then SPADE
    blocks of width 8w whose context is the input, the last of which ends in `out_channels`.

    Args:
        in_channels: C.
        base_width: w.
        stride_kernel: k, 3 or 4; a layer of stride 1 always has 3.
        out_channels: default 4w.
        spade_blocks: number of SPADE blocks, >= 1.
        spade_hidden: width of the layer inside SPADE.
        spade_norm, spade_kernel: normalisation and kernel inside SPADE, see `SPADE`.
        norm: normalisation of the five convolutions.
        non_local: attention after the first SPADE block, without spectral norm.
        extra_blocks: three more SPADE blocks at the end.
        dilated: give these blocks the dilations 1, 2 and 4, and two convolutions after them, with
            dilations 2 and 1, that smooth the gridding out.
        squeeze_excitation: gate the channels of the SPADE blocks (reduction 16), not of the extra
            ones.
        second_stride: 2, or 1 for a grid twice as fine.
        slope: of the LeakyReLUs.
        init_gain: see `init_weights`.

    Attributes:
        out_channels: channels of the output.
        stride: H and W must be multiples of it.

    Raises:
        ConfigError: a setting outside its range.
    """

    def __init__(
        self,
        in_channels: int,
        base_width: int = 64,
        stride_kernel: int = 3,
        out_channels: int | None = None,
        spade_blocks: int = 3,
        spade_hidden: int = 128,
        spade_norm: str = "pono",
        spade_kernel: int = 3,
        norm: str = "instance",
        non_local: bool = False,
        extra_blocks: bool = False,
        dilated: bool = True,
        squeeze_excitation: bool = False,
        second_stride: int = 2,
        slope: float = 0.2,
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        if stride_kernel not in (3, 4):
            raise ConfigError(f"DomainEncoder.stride_kernel is {stride_kernel}; allowed are 3, 4")
        if second_stride not in (1, 2):
            raise ConfigError(f"DomainEncoder.second_stride is {second_stride}; allowed are 1, 2")
        if spade_blocks < 1:
            raise ConfigError(f"DomainEncoder.spade_blocks is {spade_blocks}; allowed is 1 or more")
        self.out_channels = 4 * base_width if out_channels is None else out_channels
        self.stride = 2 * second_stride

        def stage(
            width_in: int,
            width_out: int,
            stride: int = 1,
            dilation: int = 1,
            slope: float | None = None,
        ) -> nn.Module:
            kernel = 3 if stride == 1 else stride_kernel
            conv = Conv(width_in, width_out, kernel, stride, dilation, dilation, bias=False)
            return ConvNorm(spectral(conv), build_norm(norm, width_out), slope)

        widths = [in_channels, *(base_width * factor for factor in (1, 2, 4, 8, 8))]
        strides = (1, 2, 1, second_stride, 1)
        slopes = [slope] * (len(strides) - 1) + [None]
        self.stages = nn.ModuleList(
            stage(a, b, s, slope=activation)
            for a, b, s, activation in zip(widths, widths[1:], strides, slopes, strict=False)
        )

        def block(
            width_in: int, width_out: int, dilation: int = 1, gate: bool = False
        ) -> nn.Module:
            return SPADEResBlock(
                width_in,
                width_out,
                in_channels,
                spade_hidden,
                spade_norm,
                spade_kernel,
                dilation,
                slope=slope,
                squeeze_excitation=gate,
            )

        wide, out = widths[-1], self.out_channels
        ends = [wide] * (spade_blocks - 1) + [out]
        self.blocks = nn.ModuleList(block(wide, end, gate=squeeze_excitation) for end in ends)
        self.attention = NonLocalAttention(ends[0], spectral_norm=False) if non_local else None
        dilations = [d if dilated else 1 for d in (_EXTRA_DILATIONS if extra_blocks else ())]
        self.extra_blocks = nn.ModuleList(block(out, out, dilation) for dilation in dilations)
        smoothing = _SMOOTHING_DILATIONS if extra_blocks and dilated else ()
        self.degridding = nn.ModuleList(stage(out, out, dilation=d) for d in smoothing)
        init_weights(self, init_gain)

    takes_context = True

    def forward(self, x: Tensor | OneHot) -> Tensor:
        """(B, C, H, W), dense or `OneHot` -> (B, `out_channels`, h, w), not normalised.

        Raises:
            ConfigError: H or W is not a multiple of `stride`.
        """
        check_divisible(x.shape[-2], x.shape[-1], self.stride, type(self).__name__)
        context = Context.of(x)
        # the type of the weights is that of the dense map, where one is made
        dtype = next(self.parameters()).dtype
        whole = context.at((x.shape[-2], x.shape[-1]), dtype)
        features = self.stages[0](whole.simplest)
        for stage in self.stages[1:]:
            features = stage(suited(features, stage))
        for index, block in enumerate(self.blocks):
            features = block(suited(features, block), context)
            if index == 0 and self.attention is not None:
                features = self.attention(features)
        for block in self.extra_blocks:
            features = block(features, context)
        for stage in self.degridding:
            features = stage(features)
        return features
