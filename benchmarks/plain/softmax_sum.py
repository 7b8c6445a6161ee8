"""Softmax-weighted sums, with the matrix of weights."""

from __future__ import annotations

import math

from torch import Tensor

from mcltoolkit.precision import at_least_float32, without_autocast


def softmax_sum(logits: Tensor, values: Tensor, back: bool = False) -> Tensor:
    """See `mcltoolkit.ops.softmax_sum`."""
    with without_autocast(logits):
        values = at_least_float32(values).to(logits.dtype)
        weights = (logits * math.log(2)).softmax(1 if back else 2)
        return values @ weights if back else values @ weights.mT
