"""Adversarial terms on a multi-scale patch discriminator, and its feature matching.

Hinge: Lim and Ye, Geometric GAN (2017). Least squares: Mao et al. (ICCV 2017). Vanilla: Goodfellow
et al. (NeurIPS 2014), non-saturating. Feature matching: Wang et al., pix2pixHD (CVPR 2018).
Scores are averaged over positions within a scale, then over scales.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.losses.base import AdversarialTerm, Loss
from mcltoolkit.precision import at_least_float32
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import DiscriminatorPass, Translation


class _ScoreLoss(AdversarialTerm):
    """Shared shape: a generator cost of fake scores, a discriminator cost of fake and real ones.

    Args:
        weight: of the generator's and of the discriminator's term; released value 10.
    """

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__(weight)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: how far the discriminator is from taking the fake image for real."""
        scores = translation.need("fake_pass").scores
        return _mean([self.generator_cost(at_least_float32(score)) for score in scores])

    def discriminator_loss(self, fake: DiscriminatorPass, real: DiscriminatorPass) -> Tensor:
        """Scalar: cost of the fake scores plus cost of the real scores."""
        pairs = zip(fake.scores, real.scores, strict=True)
        costs = [
            self.discriminator_cost(at_least_float32(f), at_least_float32(r)) for f, r in pairs
        ]
        return _mean(costs)

    def generator_cost(self, fake: Tensor) -> Tensor:
        """Scalar cost of one scale's score map (B, 1, h, w)."""
        raise NotImplementedError

    def discriminator_cost(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar cost of one scale's two score maps (B, 1, h, w)."""
        raise NotImplementedError


@LOSSES.register_module()
class HingeAdversarialLoss(_ScoreLoss):
    """Hinge GAN: G minimises -D(fake); D minimises max(0, 1 + D(fake)) + max(0, 1 - D(real))."""

    margins = (-1.0, 1.0)

    def generator_cost(self, fake: Tensor) -> Tensor:
        """Scalar cost of one scale's scores (B, 1, h, w)."""
        return -fake.mean()

    def discriminator_cost(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar cost of one scale's scores (B, 1, h, w)."""
        return F.relu(1 + fake).mean() + F.relu(1 - real).mean()


@LOSSES.register_module()
class LSGANLoss(_ScoreLoss):
    """Least squares: G minimises (D(fake) - 1)^2; D minimises D(fake)^2 + (D(real) - 1)^2."""

    margins = (0.1, 0.9)

    def generator_cost(self, fake: Tensor) -> Tensor:
        """Scalar cost of one scale's scores (B, 1, h, w)."""
        return (fake - 1).square().mean()

    def discriminator_cost(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar cost of one scale's scores (B, 1, h, w)."""
        return fake.square().mean() + (real - 1).square().mean()


@LOSSES.register_module()
class VanillaGANLoss(_ScoreLoss):
    """Binary cross-entropy of scores as logits; non-saturating for the generator."""

    margins = (-4.0, 4.0)  # probabilities of 0.018 and 0.982

    def generator_cost(self, fake: Tensor) -> Tensor:
        """Scalar cost of one scale's scores (B, 1, h, w)."""
        return F.softplus(-fake).mean()

    def discriminator_cost(self, fake: Tensor, real: Tensor) -> Tensor:
        """Scalar cost of one scale's scores (B, 1, h, w)."""
        return F.softplus(fake).mean() + F.softplus(-real).mean()


@LOSSES.register_module()
class FeatureMatchingLoss(Loss):
    """L1 of the discriminator's layers on the fake against the detached ones on the real image.

    Summed over all layers but the last (the scores), averaged over scales.

    Args:
        weight: released value 10.
    """

    requires = frozenset({"discriminator", "truth"})

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__(weight)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: sum over layers, mean over scales."""
        fake: DiscriminatorPass = translation.need("fake_pass")
        real: DiscriminatorPass = translation.need("real_pass")
        costs = []
        for fake_layers, real_layers in zip(fake.scales, real.scales, strict=True):
            pairs = zip(fake_layers[:-1], real_layers[:-1], strict=True)
            layers = [
                F.l1_loss(at_least_float32(f), at_least_float32(r.detach())) for f, r in pairs
            ]
            costs.append(torch.stack(layers).sum())
        return _mean(costs)


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
