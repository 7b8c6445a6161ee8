"""Weights of negatives from entropic optimal transport (MoNCE, Zhan et al., CVPR 2022).

Anchors and negatives are coupled by the transport plan T that maximises
sum_ij T_ij g_ij + epsilon H(T), every row and every column of T summing to 1, no mass on the
positive pairs (i, i). With gain g = s hard negatives, those like their anchor, get more weight;
with g = 1 - s easy ones do. The columns' constraint is what sets this apart from a softmax over
each anchor's negatives: no negative is pushed by all anchors at once and another by none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GAINS = ("hard", "easy")


def transport_log_plan(gain: Tensor, epsilon: float, iterations: int) -> Tensor:
    """log T by Sinkhorn's iteration on the logarithms (Cuturi, NeurIPS 2013).

    The last half step sets the rows: they sum to 1 up to rounding, columns up to the convergence.

    Args:
        gain: (B, N, N), N >= 2; the diagonal is not read.
        epsilon: weight of the entropy, > 0, in units of the gain.
        iterations: full steps (columns, then rows), >= 1.

    Returns:
        (B, N, N); -inf on the diagonal.
    """
    own = torch.eye(gain.shape[-1], dtype=torch.bool, device=gain.device)
    score = (gain / epsilon).masked_fill(own, -math.inf)
    rows = score.new_zeros(()).expand(score.shape[:2])
    for _ in range(iterations):
        columns = -(score + rows.unsqueeze(2)).logsumexp(dim=1)
        rows = -(score + columns.unsqueeze(1)).logsumexp(dim=2)
    return score + rows.unsqueeze(2) + columns.unsqueeze(1)


def negative_log_weights(
    cosine: Tensor, weighting: str = "hard", epsilon: float = 1.0, iterations: int = 10
) -> Tensor:
    """log w_ij, w = (N - 1) T: an anchor's weights have the mean 1, as in plain InfoNCE.

    Args:
        cosine: (B, N, N), s of anchors (rows) and keys (columns).
        weighting: `hard` or `easy`, see above.
        epsilon, iterations: see `transport_log_plan`; as epsilon grows, w goes to 1.

    Returns:
        (B, N, N); zero on the diagonal, and everywhere for N = 1.
    """
    count = cosine.shape[-1]
    if count == 1:
        return torch.zeros_like(cosine)
    gain = cosine if weighting == "hard" else 1 - cosine
    plan = transport_log_plan(gain, epsilon, iterations)
    own = torch.eye(count, dtype=torch.bool, device=cosine.device)
    return (plan + math.log(count - 1)).masked_fill(own, 0.0)
