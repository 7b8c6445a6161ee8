"""InfoNCE (van den Oord et al., 2018) whose negatives may carry weights (MoNCE, CVPR 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.losses.marginal import MIN_NORM


def unit_rows(rows: Tensor) -> Tensor:
    """Rows (..., D) scaled to unit length; rows shorter than 1e-3 stay shorter."""
    return F.normalize(rows, dim=-1, eps=MIN_NORM)


def info_nce(cosine: Tensor, temperature: float, log_weights: Tensor | None = None) -> Tensor:
    """-log( e^{s_ii/t} / (e^{s_ii/t} + sum_{j!=i} w_ij e^{s_ij/t}) ) for each anchor i.

    Args:
        cosine: (B, N, N), s; row i is an anchor, column i its positive, all other columns are its
            negatives.
        temperature: t, > 0.
        log_weights: (B, N, N), log w; its diagonal is not read. None: w = 1, plain InfoNCE.

    Returns:
        (B, N), each >= 0.
    """
    logits = cosine / temperature
    if log_weights is not None:
        own = torch.eye(cosine.shape[-1], dtype=torch.bool, device=cosine.device)
        logits = logits + log_weights.masked_fill(own, 0.0)
    return logits.logsumexp(dim=2) - logits.diagonal(dim1=1, dim2=2)
