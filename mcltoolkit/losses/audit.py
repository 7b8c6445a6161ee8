"""Loss-wiring audit: does every configured loss move the network?

The released code of MCL-Net computes its contrastive loss and then drops it; nobody noticed,
because nothing checks that a loss that is logged is also learned from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

PROBE = 4


def reaches(loss: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Whether the scalar `loss` has a non-zero gradient for at least one of `parameters`.

    Parameters are probed a few at a time from the last to the first: gradients of late layers cost
    little, and one non-zero gradient is enough.
    """
    if not loss.requires_grad:
        return False
    candidates = [p for p in parameters if p.requires_grad]
    candidates.reverse()
    for start in range(0, len(candidates), PROBE):
        gradients = torch.autograd.grad(
            loss, candidates[start : start + PROBE], retain_graph=True, allow_unused=True
        )
        if any(g is not None and bool(g.count_nonzero()) for g in gradients):
            return True
    return False


def dead_losses(losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> list[str]:
    """Names of the losses that send no gradient to any of `parameters`.

    Args:
        losses: scalars with graph.
        parameters: of the network itself, without those of the losses' own heads: a loss that
            trains only its own head does not train the network.
    """
    return [name for name, loss in losses.items() if not reaches(loss, parameters)]
