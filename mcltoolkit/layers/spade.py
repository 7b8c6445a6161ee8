"""Spatially adaptive normalisation and its residual block (SPADE: Park et al., CVPR 2019), in
CoCosNet's form: reflection padding, and positional norm by default."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.context import Context, OneHot
from mcltoolkit.errors import ConfigError
from mcltoolkit.layers.context_conv import context_conv2d
from mcltoolkit.layers.conv import Conv, spectral
from mcltoolkit.layers.norm import PositionalNorm, build_norm
from mcltoolkit.layers.padding import reflect_pad
from mcltoolkit.layers.squeeze import SqueezeExcitation


class SPADE(nn.Module):
    """norm(f) * (1 + gamma) + beta, gamma and beta read from a context map at each position.

    The first convolutions of several layers that read one context may run as one, see
    `shared_hidden`.

    Args:
        channels: C, of the features.
        context_channels: channels of the context.
        hidden: width of the layer that gamma and beta share.
        norm: see `build_norm`.
        kernel: odd size of the three convolutions.
    """

    def __init__(
        self,
        channels: int,
        context_channels: int,
        hidden: int = 128,
        norm: str = "pono",
        kernel: int = 3,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ConfigError(f"SPADE kernel is {kernel}; allowed are odd sizes, such as 3")
        self.pad = kernel // 2
        self.norm = build_norm(norm, channels)
        self.shared = Conv(context_channels, hidden, kernel, reflect=self.pad)
        self.gamma = Conv(hidden, channels, kernel)
        self.beta = Conv(hidden, channels, kernel)

    def forward(
        self,
        features: Tensor,
        context: Tensor | OneHot | Context,
        slope: float | None = None,
        hidden: Tensor | None = None,
        pad: int = 0,
    ) -> Tensor:
        """Normalise features and modulate them.

        Args:
            features: (B, C, h, w).
            context: (B, C_s, H, W) of any size; resized with nearest, a `Context` once a size.
            slope: of a LeakyReLU after the modulation; None: there is none.
            hidden: what `shared_hidden` made of the context for this layer, if it was called.
            pad: pixels of reflection on every side of the result, less than h and w: the
                convolution that follows keeps it padded, so it is cheapest made so.

        Returns:
            (B, C, h + 2 pad, w + 2 pad).
        """
        if hidden is None:
            (hidden,) = shared_hidden([self], context, features)
        # apart: as one convolution they take as long, and both weights would be kept joined, too
        gamma, beta = self.gamma(hidden), self.beta(hidden)
        del hidden  # without graph nobody else holds it, and what follows needs the room
        if isinstance(self.norm, PositionalNorm):
            return ops.modulate(features, gamma, beta, "pono", self.norm.eps, slope, pad)
        return ops.modulate(self.norm(features), gamma, beta, "none", 0.0, slope, pad)


def shared_hidden(
    layers: Sequence[SPADE], context: Tensor | OneHot | Context, features: Tensor
) -> tuple[Tensor, ...]:
    """The hidden maps of SPADE layers that read one context at one size, by one convolution;
    padded for the convolutions to gamma and beta.

    Args:
        layers: of one kernel and context width.
        context: (B, C_s, H, W) of any size.
        features: (B, C, h, w), of which the size is read, and the type.

    Returns:
        (B, hidden, h + 2 pad, w + 2 pad) for each layer, `pad` of the layers.
    """
    height, width = features.shape[-2:]
    seen = Context.of(context).at((height, width), features.dtype)
    pad = layers[0].pad
    convs = [layer.shared for layer in layers]
    if all(type(conv) is Conv for conv in convs):
        weight = torch.cat([conv.weight for conv in convs])
        bias = torch.cat([_bias(conv) for conv in convs])
        hidden = context_conv2d(seen, weight, bias, reflect=pad)
    else:  # such as a unit of sharding, which has its weight only inside its own forward pass
        hidden = torch.cat([conv(seen.simplest) for conv in convs], dim=1)
    widths = [layer.shared.out_channels for layer in layers]
    if min(height, width) > pad:
        # as the features are, which gamma and beta are multiplied with and added to
        form = torch.contiguous_format if features.is_contiguous() else torch.channels_last
        return ops.relu_reflect_pad(hidden, widths, pad, form)
    return tuple(reflect_pad(group, pad) for group in F.relu(hidden).split(widths, dim=1))


def _bias(conv: Conv) -> Tensor:
    assert conv.bias is not None, "the convolutions of SPADE are built with one"
    return conv.bias


class SPADEResBlock(nn.Module):
    """Twice [SPADE, LeakyReLU, 3x3 convolution], added to a shortcut.

    The shortcut is the input itself, or SPADE and a 1x1 convolution where widths differ. All
    convolutions of the block have spectral norm; those inside SPADE have none.

    Args:
        in_channels, out_channels: the narrower one is the width in between.
        context_channels: channels of the context.
        hidden, norm, kernel: see `SPADE`.
        dilation: of the two 3x3 convolutions.
        squeeze_excitation: gate the channels of the main path.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        context_channels: int,
        hidden: int = 128,
        norm: str = "pono",
        kernel: int = 3,
        dilation: int = 1,
        slope: float = 0.2,
        squeeze_excitation: bool = False,
    ) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        self.slope = slope
        self.widens = in_channels != out_channels

        def conv(width_in: int, width_out: int) -> Conv:
            return spectral(Conv(width_in, width_out, 3, dilation=dilation, reflect=dilation))

        def spade(width: int) -> SPADE:
            return SPADE(width, context_channels, hidden, norm, kernel)

        self.conv_0 = conv(in_channels, middle)
        self.conv_1 = conv(middle, out_channels)
        if self.widens:
            self.conv_s = spectral(Conv(in_channels, out_channels, 1, bias=False))
        self.norm_0 = spade(in_channels)
        self.norm_1 = spade(middle)
        if self.widens:
            self.norm_s = spade(in_channels)
        self.gate = SqueezeExcitation(out_channels) if squeeze_excitation else nn.Identity()

    def forward(self, x: Tensor, context: Tensor | OneHot | Context) -> Tensor:
        """(B, in, h, w) and context (B, C_s, H, W) of any size -> (B, out, h, w)."""
        layers = [self.norm_0, self.norm_1, *([self.norm_s] if self.widens else [])]
        context = Context.of(context)
        hidden: tuple[Tensor | None, ...] = (None,) * len(layers)
        # layers of another class may not be looked into; where nothing is kept for a backward
        # pass, one at a time takes a third of the memory
        if torch.is_grad_enabled() and all(type(layer) is SPADE for layer in layers):
            hidden = shared_hidden(layers, context, x)
        shortcut = self.conv_s(self.norm_s(x, context, None, hidden[2])) if self.widens else x
        pad = self.conv_0.reflect
        if pad >= min(x.shape[-2:]):  # so small a map the convolutions pad themselves
            pad = 0
        padded = pad > 0
        x = self.conv_0(self.norm_0(x, context, self.slope, hidden[0], pad), padded)
        x = self.conv_1(self.norm_1(x, context, self.slope, hidden[1], pad), padded)
        return shortcut + self.gate(x)
