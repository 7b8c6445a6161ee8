"""Correspondence by unbalanced optimal transport.

UNITE (Zhan et al., "Unbalanced Feature Transport for Exemplar-based Image Translation", CVPR 2021)
replaces the softmax of CoCosNet's match by a transport plan, so that many condition positions do
not all take one exemplar position; relaxed marginals leave mass without a counterpart where it is.
"""

from __future__ import annotations

import math

from torch import Tensor

from mcltoolkit.correspondence import CosineCorrespondence
from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import CORRESPONDENCES
from mcltoolkit_unite.match import TransportMatch
from mcltoolkit_unite.weights import FeatureWeights, uniform_log_weights

WEIGHTS = ("learned", "uniform")


@CORRESPONDENCES.register_module()
class TransportCorrespondence(CosineCorrespondence):
    """Matches by transport what `CosineCorrespondence` matches by softmax.

    Features, embedding and warp are those of `CosineCorrespondence`, with its parameter names;
    `weights` are this class's own, and only where they are learned.

    Args:
        in_channels, condition_channels, hidden, embed, blocks, mask_mix, coordinates,
            neighbourhood, centre, warp, upsample: see `CosineCorrespondence`.
        epsilon: weight of the plan's entropy, > 0, against a cost of 1 - cosine; it takes the place
            of the cosine match's temperature.
        rho: weight of the divergence between the plan's marginals and the weights, >= 0: the
            smaller, the freer a position is to give or take less. None holds the marginals to the
            weights (balanced transport), 0 leaves the cosine match with the weights as prior.
        iterations: of Sinkhorn's algorithm, >= 1; a fixed number, differentiated through.
        weights: `learned` (`FeatureWeights`) or `uniform`.
        block: rows of the plan that exist at a time, >= 1: less memory or fewer, larger products.

    Raises:
        ConfigError: a setting outside these values.
    """

    def __init__(
        self,
        in_channels: int,
        condition_channels: int,
        hidden: int | None = None,
        embed: int = 256,
        blocks: int = 4,
        mask_mix: bool = False,
        coordinates: bool = False,
        neighbourhood: int = 3,
        centre: str = "channels",
        epsilon: float = 0.025,
        rho: float | None = 0.1,
        iterations: int = 10,
        weights: str = "learned",
        block: int = 512,
        warp: str = "average",
        upsample: str = "nearest",
    ) -> None:
        _at_least("epsilon", epsilon, 0, "such as 0.025", strict=True)
        _at_least("rho", math.inf if rho is None else rho, 0, "or None for balanced transport")
        _at_least("iterations", iterations, 1, "such as 10")
        _at_least("block", block, 1, "such as 512")
        super().__init__(
            in_channels,
            condition_channels,
            hidden=hidden,
            embed=embed,
            blocks=blocks,
            mask_mix=mask_mix,
            coordinates=coordinates,
            neighbourhood=neighbourhood,
            centre=centre,
            temperature=epsilon,
            warp=warp,
            upsample=upsample,
        )
        self._check("weights", weights, WEIGHTS)
        self.epsilon = epsilon
        self.rho = math.inf if rho is None else rho
        self.iterations = iterations
        self.block = block
        self.weights: FeatureWeights | None = None
        if weights == "learned":
            self.weights = FeatureWeights(self.theta.in_channels, embed, centre)

    def make_match(self, condition_features: Tensor, exemplar_features: Tensor) -> TransportMatch:
        """The transport plan between the features (B, F, h, w) of both sides."""
        if self.weights is None:
            ours = uniform_log_weights(condition_features)
            theirs = uniform_log_weights(exemplar_features)
        else:
            ours, theirs = self.weights(condition_features, exemplar_features)
        return TransportMatch(
            self.embed(condition_features, self.theta),
            self.embed(exemplar_features, self.phi),
            ours,
            theirs,
            (condition_features.shape[2], condition_features.shape[3]),
            (exemplar_features.shape[2], exemplar_features.shape[3]),
            self.epsilon,
            self.rho,
            self.iterations,
            self.block,
        )


def _at_least(name: str, value: float, least: float, hint: str, strict: bool = False) -> None:
    if not (value > least if strict else value >= least):
        sign = ">" if strict else ">="
        raise ConfigError(
            f"TransportCorrespondence.{name} is {value}; allowed are values {sign} {least}, {hint}"
        )
