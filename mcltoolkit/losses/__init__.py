"""Losses: one file a family, pure functions beside thin modules; `GeneratorObjective` sums them."""

from mcltoolkit.losses.adversarial import (
    FeatureMatchingLoss,
    HingeAdversarialLoss,
    LSGANLoss,
    VanillaGANLoss,
)
from mcltoolkit.losses.audit import dead_losses
from mcltoolkit.losses.base import AdversarialTerm, Loss
from mcltoolkit.losses.consistency import FeatureConsistencyLoss
from mcltoolkit.losses.contextual import ContextualLoss, contextual_loss
from mcltoolkit.losses.cycle import CycleLoss
from mcltoolkit.losses.marginal import (
    MarginalContrastiveLoss,
    angular_margin,
    marginal_contrastive,
)
from mcltoolkit.losses.mask import MaskLoss, mask_nll
from mcltoolkit.losses.objective import GeneratorObjective
from mcltoolkit.losses.perceptual import PerceptualLoss
from mcltoolkit.losses.pseudo_pair import PixelPseudoPairLoss, PseudoPairLoss
from mcltoolkit.losses.self_warp import SelfWarpLoss
from mcltoolkit.losses.vgg import VGG19Features

__all__ = [
    "AdversarialTerm",
    "ContextualLoss",
    "CycleLoss",
    "FeatureConsistencyLoss",
    "FeatureMatchingLoss",
    "GeneratorObjective",
    "HingeAdversarialLoss",
    "LSGANLoss",
    "Loss",
    "MarginalContrastiveLoss",
    "MaskLoss",
    "PerceptualLoss",
    "PixelPseudoPairLoss",
    "PseudoPairLoss",
    "SelfWarpLoss",
    "VGG19Features",
    "VanillaGANLoss",
    "angular_margin",
    "contextual_loss",
    "dead_losses",
    "marginal_contrastive",
    "mask_nll",
]
