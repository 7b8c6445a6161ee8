"""Correspondence: which exemplar position each condition position takes its colour from."""

from mcltoolkit.correspondence.cosine import CosineCorrespondence, coordinate_map
from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.correspondence.residual import SharedResidualBlock
from mcltoolkit.correspondence.self_correlation import SelfCorrelationMap, self_correlation
from mcltoolkit.correspondence.warp import (
    average_pool,
    fold_patches,
    pool_factor,
    unfold_patches,
    upsample,
)

__all__ = [
    "CosineCorrespondence",
    "CosineMatch",
    "SelfCorrelationMap",
    "SharedResidualBlock",
    "average_pool",
    "coordinate_map",
    "fold_patches",
    "pool_factor",
    "self_correlation",
    "unfold_patches",
    "upsample",
]
