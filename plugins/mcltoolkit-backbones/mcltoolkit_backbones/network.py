"""A timm network as a source of feature maps, coarse details of the libraries hidden.

Networks with stages come through timm's `features_only`; plain vision transformers, whose blocks
all have the same grid, through `forward_intermediates`, since only there the last norm can be put
on every map (as DINOv2 reads its intermediate layers) and tokens without a place are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import timm
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError

# what timm raises for a model, layer or size that it cannot give maps of
BUILD_ERRORS = (RuntimeError, TypeError, ValueError, AssertionError, AttributeError, KeyError)


class StageMaps(nn.Module):
    """Image -> maps of a network's stages, finest first.

    Args:
        model: timm's name.
        layers: indices of the stages.
        options: further arguments of `timm.create_model`, such as `in_chans`.
    """

    def __init__(self, model: str, layers: Sequence[int], options: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = timm.create_model(
            model, features_only=True, out_indices=tuple(layers), **options
        )
        # Swin and its like keep channels last; the enumeration compares equal to its text
        self.channels_last = getattr(self.model, "output_fmt", None) == "NHWC"

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> maps (B, c, h, w)."""
        maps = self.model(image)
        return [m.permute(0, 3, 1, 2) if self.channels_last else m for m in maps]


class TokenMaps(nn.Module):
    """Image -> maps of a plain vision transformer's blocks, shallowest first.

    The patches' tokens lie row by row; class and register tokens take part in the attention and are
    left out of the maps. Blocks behind the last map and the head are removed.

    Args:
        model: timm's name.
        layers: indices of the blocks.
        final_norm: put the network's last norm on every map; otherwise it is removed.
        options: further arguments of `timm.create_model`, such as `in_chans`.
    """

    def __init__(
        self, model: str, layers: Sequence[int], final_norm: bool, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        network: Any = timm.create_model(model, num_classes=0, **options)
        self.model = network
        self.layers = network.prune_intermediate_layers(
            list(layers), prune_norm=not final_norm, prune_head=True
        )
        self.final_norm = final_norm

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> maps (B, c, h, w)."""
        network: Any = self.model
        maps: list[Tensor] = network.forward_intermediates(
            image,
            indices=self.layers,
            norm=self.final_norm,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        return maps


def build_network(
    model: str,
    layers: Sequence[int],
    plain: bool,
    final_norm: bool,
    options: Mapping[str, Any],
) -> StageMaps | TokenMaps:
    """The network that gives the maps of `layers`.

    Args:
        model: timm's name.
        layers: indices, ascending.
        plain: whether it is a plain vision transformer.
        final_norm: see `TokenMaps`.
        options: further arguments of `timm.create_model`.

    Raises:
        ConfigError: timm cannot build it with these options.
    """
    try:
        if plain:
            return TokenMaps(model, layers, final_norm, options)
        return StageMaps(model, layers, options)
    except BUILD_ERRORS as error:
        raise refused(model, error, options) from error


def refused(model: str, error: Exception, options: Mapping[str, Any]) -> ConfigError:
    """What to tell when timm does not build `model`."""
    reason = str(error).splitlines()[0][:200] if str(error) else ""
    return ConfigError(
        f"TimmEncoder.model {model!r} cannot be built for feature maps with {dict(options)} "
        f"({type(error).__name__}: {reason}); choose a model that "
        f"timm.create_model(NAME, features_only=True) builds, and a size that it takes"
    )
