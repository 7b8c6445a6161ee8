"""Averages over the paired samples of a batch, without asking the device which ones they are."""

from __future__ import annotations

import torch
from torch import Tensor

from mcltoolkit.layers.ranks import mean_over_ranks
from mcltoolkit.precision import at_least_float32


def paired_mean(values: Tensor, paired: Tensor, released: bool = False) -> Tensor:
    """Mean of `values` over the paired samples; zero, with its graph, when there is none.

    Over several ranks the sum is divided by the ranks' mean number of paired samples, so that the
    average of their gradients is that of the whole batch; all ranks must call.

    Args:
        values: (B,), one value a sample.
        paired: (B,) bool.
        released: the form of the released CoCosNet code, which divides by B once more, B being
            the batch of one device, and adds 1e-5 to the number of paired samples there.
    """
    weights = paired.to(values.dtype)
    total = (values * weights).sum()
    if released:
        return total / (weights.sum() + 1e-5) / len(values)
    return total / at_least_one(weights.sum())


def at_least_one(count: Tensor) -> Tensor:
    """The ranks' mean of a count, as a divisor: where no rank counts anything it is 1."""
    mean = mean_over_ranks(count)
    return mean.masked_fill(mean == 0, 1)


def l1_per_sample(source: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of each sample, (B, ...) -> (B,), in float32."""
    with torch.autocast(source.device.type, enabled=False):
        return (at_least_float32(source) - at_least_float32(target)).abs().flatten(1).mean(dim=1)
