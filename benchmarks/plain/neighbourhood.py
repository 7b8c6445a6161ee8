"""Cosines of neighbourhoods, unfolded."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.layers.unit import unit_length
from mcltoolkit.precision import at_least_float32, without_autocast


def neighbourhood_cosines(
    queries: Tensor, keys: Tensor, neighbourhood: int = 3, temperature: float = 1.0
) -> Tensor:
    """See `mcltoolkit.ops.neighbourhood_cosines`."""

    def unfolded(x: Tensor) -> Tensor:
        values = F.unfold(at_least_float32(x), neighbourhood, padding=neighbourhood // 2)
        return unit_length(values - values.mean(1, keepdim=True))

    with without_autocast(queries):
        return (unfolded(queries) / temperature).transpose(1, 2) @ unfolded(keys)
