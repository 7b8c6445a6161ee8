"""Scaling vectors to unit length, so that their products are cosines."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.precision import EPSILON, at_least_float32


def unit_length(values: Tensor) -> Tensor:
    """Values (B, C, ...) scaled to unit length over C, in float32 at least.

    A zero vector stays zero and gets a finite gradient.
    """
    return F.normalize(at_least_float32(values), dim=1, eps=EPSILON)
