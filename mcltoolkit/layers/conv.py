"""The convolution of all networks here: zero or reflection padding, spectral norm on demand."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.context import Context
from mcltoolkit.layers.context_conv import context_conv2d
from mcltoolkit.layers.padding import reflect_pad
from mcltoolkit.layers.spectral import spectral, spectral_norm_of
from mcltoolkit.precision import without_autocast

__all__ = ["Conv", "spectral"]


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

    def forward(self, x: Tensor | Context, padded: bool = False) -> Tensor:
        """Convolve.

        Args:
            x: (B, in, H, W), dense or in pieces.
            padded: the reflection of `x` is on it already.

        Returns:
            (B, out, H', W').
        """
        if isinstance(x, Context):
            with without_autocast(x):
                weight = self.weight
            at = self.stride[0], int(self.padding[0]), self.dilation[0]
            return context_conv2d(x, weight, self.bias, *at, 0 if padded else self.reflect)
        if not padded:
            x = reflect_pad(x, self.reflect)
        stride, dilation = self.stride, self.dilation
        padding = cast(tuple[int, ...], self.padding)
        norm = spectral_norm_of(self)
        if norm is None:
            # reading a weight that is normalised in another way may compute it: autocast would do
            # that in half precision
            with without_autocast(x):
                weight = self.weight
            return ops.conv2d(x, weight, self.bias, stride, padding, dilation)
        original: Any = self.parametrizations["weight"].original  # type: ignore
        sigma = norm.sigma(original)
        u, v = norm._u, norm._v
        return ops.spectral_conv2d(
            x,
            original,
            u,
            v,
            sigma,
            self.bias,
            stride,
            padding,
            dilation,
        )
