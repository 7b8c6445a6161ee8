"""The same, randomly drawn positions of two feature maps, as contrastive losses compare them."""

from __future__ import annotations

import torch
from torch import Tensor

from mcltoolkit.precision import at_least_float32


def draw_positions(
    first: Tensor, second: Tensor, positions: int | None, shared: bool = True
) -> tuple[Tensor, Tensor]:
    """Features of the same positions of two maps, without replacement, in float32 or more.

    Args:
        first, second: (B, C, h, w).
        positions: P; None takes all h * w, and so does a number above that.
        shared: draw once for the whole batch, else for each image.

    Returns:
        Two (B, P, C).
    """
    maps = [at_least_float32(m).flatten(2) for m in (first, second)]
    batch, channels, total = maps[0].shape
    if positions is not None and positions < total:
        draws = torch.rand(1 if shared else batch, total, device=first.device)
        index = draws.topk(positions, dim=1).indices.unsqueeze(1).expand(batch, channels, -1)
        maps = [m.gather(2, index) for m in maps]
    return maps[0].transpose(1, 2), maps[1].transpose(1, 2)
