"""Weights of positions, the marginals of the transport (UNITE, Zhan et al., CVPR 2021)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from mcltoolkit.layers.init import init_weights
from mcltoolkit.layers.unit import unit_length
from mcltoolkit.precision import at_least_float32, without_autocast


def log_weights(vectors: Tensor, others: Tensor) -> Tensor:
    """Logarithms of weights (B, N): softmax over positions of the product with the other side's
    mean.

    What has a counterpart on the other side weighs more than what has none.

    Args:
        vectors: (B, D, N), unit vectors of the positions that are weighed.
        others: (B, D, M), unit vectors of the other side.
    """
    with without_autocast(vectors):
        return (others.mean(2)[:, None] @ vectors).squeeze(1).log_softmax(1)


def uniform_log_weights(features: Tensor) -> Tensor:
    """Logarithms (B, h * w) of equal weights for features (B, F, h, w), in float32 at least."""
    count = features.shape[2] * features.shape[3]
    return at_least_float32(features).new_full((len(features), count), -math.log(count))


class FeatureWeights(nn.Module):
    """Learned weights: each side's features through a 1x1 convolution of its own, centred, scaled
    to unit length and compared with the other side's mean.

    Args:
        in_channels: F of the features.
        embed: width of the convolutions' output.
        centre: `channels` or `positions`, over which the mean is subtracted.
    """

    def __init__(self, in_channels: int, embed: int, centre: str) -> None:
        super().__init__()
        self.axis = 1 if centre == "channels" else 2
        self.theta = nn.Conv2d(in_channels, embed, 1)
        self.phi = nn.Conv2d(in_channels, embed, 1)
        init_weights(self)

    def forward(self, condition_features: Tensor, exemplar_features: Tensor) -> tuple[Tensor, ...]:
        """Features (B, F, h, w) of both sides -> log weights (B, N) and (B, M), at least float32;
        the weights of a side sum to 1."""
        ours = self._vectors(self.theta(condition_features))
        theirs = self._vectors(self.phi(exemplar_features))
        return log_weights(ours, theirs), log_weights(theirs, ours)

    def _vectors(self, embedded: Tensor) -> Tensor:
        values = at_least_float32(embedded).flatten(2)
        return unit_length(values - values.mean(self.axis, keepdim=True))
