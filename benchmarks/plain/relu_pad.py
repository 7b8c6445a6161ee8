"""ReLU, then reflection padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def relu_reflect_pad(
    x: Tensor,
    widths: Sequence[int],
    pad: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> tuple[Tensor, ...]:
    """See `mcltoolkit.ops.relu_reflect_pad`."""
    groups = F.relu(x).split(list(widths), dim=1)
    return tuple(F.pad(group, (pad,) * 4, mode="reflect") for group in groups)
