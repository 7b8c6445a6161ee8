"""Cosines of neighbourhoods, unfolded; and the softmax over all of them."""

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


def neighbourhood_match(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    neighbourhood: int = 3,
    temperature: float = 1.0,
) -> Tensor:
    """See `mcltoolkit.ops.neighbourhood_match`."""
    return neighbourhood_cycle(queries, keys, values, neighbourhood, temperature)[0]


def neighbourhood_cycle(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    neighbourhood: int = 3,
    temperature: float = 1.0,
    channels: int | None = None,
) -> tuple[Tensor, Tensor]:
    """See `mcltoolkit.ops.neighbourhood_cycle`."""
    logits = neighbourhood_cosines(queries, keys, neighbourhood, temperature)
    with without_autocast(queries):
        out = values.to(logits.dtype) @ logits.softmax(2).transpose(1, 2)
        return out, out[:, :channels] @ logits.softmax(1)
