"""Self-correlation map: structure as auxiliary information for the match.

MCL-Net (Zhan et al., CVPR 2022): the cosine similarity of a position to every position of its own
map tells the scene's layout and hardly depends on the domain. How the map is encoded is not fixed
by the sources; the pooling and the two-layer MLP here are this toolkit's choice, not the paper's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.layers.init import init_weights
from mcltoolkit.layers.sizes import check_counts
from mcltoolkit.layers.unit import unit_length
from mcltoolkit.precision import at_least_float32, without_autocast
from mcltoolkit.registry import CORRESPONDENCES


def self_correlation(features: Tensor, pooled: int) -> Tensor:
    """Self-correlation of each position, averaged over the cells of a coarse grid.

    The mean of cosines equals the dot product with the mean of the unit vectors, so the N x N
    matrix is never made.

    Args:
        features: (B, C, h, w), unit length over C.
        pooled: cells a side; the cells are those of adaptive average pooling.

    Returns:
        (B, pooled * pooled, h, w) in [-1, 1], float32 at least, cells in row order.
    """
    with without_autocast(features):
        features = at_least_float32(features)
        cells = F.adaptive_avg_pool2d(features, pooled).flatten(2)
        return torch.einsum("bcp,bchw->bphw", cells, features)


@CORRESPONDENCES.register_module()
class SelfCorrelationMap(nn.Module):
    """Compact descriptor of a map's self-correlation.

    Args:
        in_channels: C, channels of the features. The map itself does not depend on it.
        pooled: cells a side of the coarse grid that the similarities are averaged over, >= 1.
        hidden: width of the MLP's first layer.
        out_channels: width of the descriptor.

    Raises:
        ConfigError: a setting below 1.
    """

    def __init__(
        self, in_channels: int, pooled: int = 16, hidden: int = 256, out_channels: int = 256
    ) -> None:
        super().__init__()
        check_counts(type(self).__name__, pooled=pooled, hidden=hidden, out_channels=out_channels)
        self.in_channels = in_channels
        self.pooled = pooled
        self.out_channels = out_channels
        self.mlp = nn.Sequential(
            nn.Conv2d(pooled * pooled, hidden, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(hidden, out_channels, 1),
        )
        init_weights(self.mlp)

    def forward(self, features: Tensor) -> Tensor:
        """Unit features (B, C, h, w) -> descriptor (B, out_channels, h, w), unit length."""
        return unit_length(self.mlp(self_correlation(features, self.pooled)))
