"""Where a map's memory should have the channels of a position beside each other.

On CPUs convolutions of large maps run a fifth to twice as fast in `channels_last`, forward and
backward (measured with 64 to 256 channels at 256 x 256 and 128 x 128), and wide ones at 64 x 64 go
through `ops.winograd`, which wants that order; those of smaller, wide maps are slower in it. So a
network changes the order once, where its maps grow or shrink. Accelerators, and models whose
weights the run has put in channels_last, keep what they have.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGE = 2**12
"""Positions from which a map counts as large."""


def suited(x: Tensor, network: nn.Module) -> Tensor:
    """`x` in the memory format in which the convolutions of `network` take least time.

    Args:
        x: (B, C, H, W).
        network: whose weights tell the format that the run asked for.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling() or _asked_for(network) is not False:
        return x
    large = x.shape[-2] * x.shape[-1] >= LARGE
    return x.contiguous(memory_format=torch.channels_last if large else torch.contiguous_format)


def _asked_for(network: nn.Module) -> bool | None:
    """Whether the first weight that could tell is in channels_last; None: no weight could, as those
    of 1 x 1 convolutions, which are in both orders."""
    for weight in network.parameters():
        if weight.dim() == 4 and min(weight.shape[1:]) > 1:
            return not weight.is_contiguous()
    return None
