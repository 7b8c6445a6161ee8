"""The multi-scale patch discriminator: MCL-Net supplement, Fig. 2; Wang et al., pix2pixHD
(CVPR 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.context import Context, OneHot, as_dense, few
from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import Conv, ConvNorm, NonLocalAttention, build_norm, init_weights, spectral
from mcltoolkit.registry import DISCRIMINATORS
from mcltoolkit.structures import DiscriminatorPass

_KERNEL, _PAD = 4, 1
_WIDEST = 8


class PatchDiscriminator(nn.Module):
    """One scale: 4x4 convolutions, the last two of stride 1, to a map of scores.

    The first layer is plain; the others up to the scores have spectral norm, no bias and a
    normalisation. The attention comes before the last of these.

    Args:
        in_channels: channels of condition and image together.
        base_width: width of the first layer; doubled by each further one.
        layers: number of layers before the scores, >= 2.
        max_width: width at which the doubling ends; None: 8 times the first.
        attention, norm, slope: see `MultiScaleDiscriminator`.
    """

    def __init__(
        self,
        in_channels: int,
        base_width: int = 64,
        layers: int = 4,
        attention: bool = True,
        norm: str = "instance",
        slope: float = 0.2,
        max_width: int | None = None,
    ) -> None:
        super().__init__()
        widest = base_width * _WIDEST if max_width is None else max_width
        widths = [min(base_width * 2**i, widest) for i in range(layers)]
        self.strides = [2] * (layers - 1) + [1, 1]
        self.slope = slope
        self.attention = NonLocalAttention(widths[-2]) if attention else None
        self.stages = nn.ModuleList([Conv(in_channels, widths[0], _KERNEL, 2, padding=_PAD)])
        for index in range(1, layers):
            conv = Conv(
                widths[index - 1],
                widths[index],
                _KERNEL,
                self.strides[index],
                padding=_PAD,
                bias=False,
            )
            self.stages.append(ConvNorm(spectral(conv), build_norm(norm, widths[index]), slope))
        self.stages.append(Conv(widths[-1], 1, _KERNEL, 1, padding=_PAD))

    def forward(self, x: Tensor | Context) -> list[Tensor]:
        """(B, C + 3, H, W) -> the outputs of all layers, the score map (B, 1, h, w) last."""
        last = len(self.stages) - 1
        seen = ops.leaky_relu(self.stages[0](x), self.slope)
        outputs: list[Tensor] = [seen]
        for index, stage in enumerate(self.stages[1:], 1):
            if index == last - 1 and self.attention is not None:
                seen = self.attention(seen)
            seen = stage(seen)
            outputs.append(seen)
        return outputs

    def score_size(self, size: int) -> int:
        """Height (or width) of the score map for an input of that height (or width)."""
        for stride in self.strides:
            size = max((size + 2 * _PAD - _KERNEL) // stride + 1, 0)
        return size


@DISCRIMINATORS.register_module()
class MultiScaleDiscriminator(nn.Module):
    """The same patch discriminator, with separate weights, on the image and on halved copies.

    Args:
        in_channels: C + 3.
        base_width, layers, max_width: see `PatchDiscriminator`.
        scales: number of scales, >= 1; each sees half the size of the one before.
        attention: non-local attention before the last layer but one.
        norm: normalisation, see `build_norm`.
        slope: of the LeakyReLUs.
        init_gain: see `init_weights`.

    Raises:
        ConfigError: a setting outside its range.
    """

    def __init__(
        self,
        in_channels: int,
        base_width: int = 64,
        layers: int = 4,
        scales: int = 2,
        attention: bool = True,
        norm: str = "instance",
        slope: float = 0.2,
        init_gain: float = 0.02,
        max_width: int | None = None,
    ) -> None:
        super().__init__()
        if layers < 2:
            raise ConfigError(f"MultiScaleDiscriminator.layers is {layers}; allowed is 2 or more")
        if scales < 1:
            raise ConfigError(f"MultiScaleDiscriminator.scales is {scales}; allowed is 1 or more")
        self.layers = layers
        self.scales = nn.ModuleList(
            PatchDiscriminator(in_channels, base_width, layers, attention, norm, slope, max_width)
            for _ in range(scales)
        )
        init_weights(self, init_gain)

    takes_context = True

    def forward(self, condition: Tensor | OneHot, image: Tensor) -> DiscriminatorPass:
        """Judge images (B, 3, H, W) under their conditions (B, C, H, W), dense or `OneHot`.

        For one discriminator step, stack fake and real images along B. Their conditions are the
        same and may be given once: with b of them, image i is judged under condition i mod b.

        Raises:
            ConfigError: the image is too small for the coarsest scale.
        """
        height, width = image.shape[-2:]
        smallest = self.smallest_size()
        if min(height, width) < smallest:
            raise ConfigError(
                f"MultiScaleDiscriminator cannot take a {height}x{width} image: with "
                f"{len(self.scales)} scales of {self.layers} layers both sides "
                f"must be at least {smallest}; enlarge the images or lower discriminator.layers "
                f"or discriminator.scales"
            )
        outputs = []
        for index, discriminator in enumerate(self.scales):
            if index:
                condition, image = _halved(condition, image.dtype), halve(image)
            outputs.append(discriminator(_under(condition, image)))
        return DiscriminatorPass(outputs)

    def smallest_size(self) -> int:
        """The smallest height and width for which every scale has a score."""
        coarsest = self.scales[0]
        assert isinstance(coarsest, PatchDiscriminator)
        size = 1
        while coarsest.score_size(size) < 1:
            size += 1
        for _ in range(len(self.scales) - 1):
            size = 2 * size - 1  # `halve` rounds up
        return size


def _under(condition: Tensor | OneHot, image: Tensor) -> Tensor | Context:
    """Condition and image as one map: in pieces where that spares work."""
    if not few(condition):
        return Context([condition, image])
    dense = as_dense(condition, image.dtype)
    return torch.cat([dense.repeat(len(image) // len(dense), 1, 1, 1), image], dim=1)


def _halved(condition: Tensor | OneHot, dtype: torch.dtype) -> Tensor:
    if isinstance(condition, OneHot):
        full = torch.promote_types(dtype, torch.float32)
        return ops.one_hot_avg_pool2d(condition.ids, condition.channels, full)
    return halve(condition)


def halve(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2)): mean of 3x3, padding not counted."""
    return F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
