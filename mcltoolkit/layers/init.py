"""Initial weights of the networks: Xavier normal with a small gain, biases 0 (as CoCosNet)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from mcltoolkit.layers.spectral import spectral_norm_of

_POWER_ITERATIONS = 5


@torch.no_grad()
def init_weights(module: nn.Module, gain: float = 0.02) -> None:
    """Draw all convolution and linear weights below `module` anew; zero their biases.

    A spectrally normalised convolution has its original weight drawn: the gain does not change its
    output, but how far a step of the optimiser turns the weight.

    Args:
        module: changed in place; call before training, since it moves singular vectors too.
        gain: of the Xavier normal distribution.
    """
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if not parametrize.is_parametrized(layer, "weight"):
            nn.init.xavier_normal_(layer.weight, gain)
            continue
        original: Any = layer.parametrizations["weight"].original  # type: ignore
        nn.init.xavier_normal_(original, gain)
        norm = spectral_norm_of(layer)
        if norm is not None:
            norm.advance(original, _POWER_ITERATIONS)
