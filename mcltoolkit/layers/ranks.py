"""Sums and means over the ranks of the default process group, for values that need no gradient."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def several_ranks() -> bool:
    """Whether this process is one of several in a process group."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@torch.no_grad()
def mean_over_ranks(value: Tensor) -> Tensor:
    """`value` averaged over all ranks, which must all call; itself in a single process.

    A sum over a rank's samples divided by the mean of the ranks' counts is what makes the average
    of all ranks' gradients that of the whole batch, where ranks hold different counts. No value
    is read back from the device.
    """
    if not several_ranks():
        return value.detach()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
