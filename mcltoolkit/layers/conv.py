"""The convolution of all networks here: zero or reflection padding, spectral norm on demand.

Spectral normalisation: Miyato et al., ICLR 2018 (weight divided by its largest singular value,
which one power iteration a training pass keeps up to date).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import register_parametrization

from mcltoolkit.context import Context
from mcltoolkit.layers.context_conv import context_conv2d
from mcltoolkit.layers.padding import reflect_pad
from mcltoolkit.layers.precision import without_autocast


class Conv(nn.Conv2d):
    """`nn.Conv2d` that pads by reflection at any map size and keeps its normalised weight in
    full precision under autocast.

    Args:
        padding: pixels of zeros on every side.
        reflect: pixels of reflection on every side.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = True,
        reflect: int = 0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, bias=bias
        )
        self.reflect = reflect

    def forward(self, x: Tensor | Context) -> Tensor:
        """(B, in, H, W), dense or in pieces -> (B, out, H', W')."""
        # reading a spectrally normalised weight runs the power iteration: autocast would
        # do its matrix-vector products in half precision
        with without_autocast(x):
            weight = self.weight
        if isinstance(x, Context):
            stride, padding, dilation = self.stride[0], int(self.padding[0]), self.dilation[0]
            return context_conv2d(x, weight, self.bias, stride, padding, dilation, self.reflect)
        x = reflect_pad(x, self.reflect)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation)


def spectral(conv: Conv) -> Conv:
    """`conv` with spectral norm on its weight; its state has `parametrizations.weight.original`
    and the singular vectors `parametrizations.weight.0._u` and `_v`.

    On the meta device, where networks are built for their shapes alone, the norm is left out: its
    power iterations take seconds there and yield nothing.
    """
    if conv.weight.is_meta:
        register_parametrization(conv, "weight", _SpectralShapes(conv.weight))
    else:
        spectral_norm(conv)
    return conv


class _SpectralShapes(nn.Module):
    """State names and shapes of spectral norm without its arithmetic."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows = weight.flatten(1)
        self.register_buffer("_u", torch.empty_like(rows[:, 0]))
        self.register_buffer("_v", torch.empty_like(rows[0]))

    def forward(self, weight: Tensor) -> Tensor:
        if not weight.is_meta:
            raise RuntimeError(
                "this network was built on the meta device, for its shapes; build it on a real one"
            )
        return weight
