"""Attention with queries and keys of another width than the values.

The same blocks as in `softmax_match`. `scaled_dot_product_attention` needs equal widths for its
memory-linear kernel on CPUs, so that narrow queries have to be filled up with zeros: four times the
operations of the product for an eighth against a half of the channels. On CUDA its kernels that
take two widths add gradients in no fixed order. So it serves for exported graphs alone, where it is
one node for any size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.ops.blocks import exporting
from mcltoolkit.ops.softmax_match import softmax_match
from mcltoolkit.precision import at_least_float32, without_autocast


def attention(queries: Tensor, keys: Tensor, values: Tensor, scale: float = 1.0) -> Tensor:
    """Each query's mean of the values, weighted by softmax_j(scale * queries^T keys).

    Computed in float32, or float64 if all are; in memory linear in N and M, differentiable once.

    Args:
        queries: (B, D, N).
        keys: (B, D, M).
        values: (B, C, M).
        scale: of the product.

    Returns:
        (B, C, N), not in half precision.
    """
    if not exporting():
        return softmax_match(queries, keys, values, scale)
    with without_autocast(queries):
        q, k, v = (at_least_float32(x).mT.unsqueeze(1) for x in (queries, keys, values))
        width = max(q.shape[-1], v.shape[-1])
        q, k = (F.pad(x, (0, width - x.shape[-1])) for x in (q, k))
        return F.scaled_dot_product_attention(q, k, v, scale=scale)[:, 0].mT
