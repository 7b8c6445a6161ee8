"""A convolution, its normalisation and the activation after it, as one stage of a network."""

from __future__ import annotations

from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.layers.norm import InstanceNorm


class ConvNorm(nn.Sequential):
    """[convolution, normalisation, maybe LeakyReLU]. For the backward pass the last two keep their
    result alone where the norm is instance norm, otherwise what the norm keeps and their result.

    Args:
        conv, norm: the children `0` and `1`; `norm` from `build_norm`.
        slope: of the LeakyReLU; None: there is none.
    """

    def __init__(self, conv: nn.Module, norm: nn.Module, slope: float | None = None) -> None:
        super().__init__(conv, norm)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H', W')."""
        conv, norm = self
        x = conv(x)
        if isinstance(norm, InstanceNorm):
            normal: Tensor = norm(x, self.slope)
            return normal
        x = norm(x)
        return x if self.slope is None else ops.leaky_relu(x, self.slope)
