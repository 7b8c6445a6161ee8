"""Modulated contrast (MoNCE: Zhan et al., "Modulated Contrast for Versatile Image Synthesis",
CVPR 2022): PatchNCE whose negatives are weighted by optimal transport."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from mcltoolkit import LOSSES
from mcltoolkit_contrast.patch_nce import PatchNCELoss
from mcltoolkit_contrast.transport import GAINS, negative_log_weights


@LOSSES.register_module()
class ModulatedContrastLoss(PatchNCELoss):
    """PatchNCE with the push of each negative set by an entropic transport plan.

    Args:
        weight: as in `PatchNCELoss`.
        weighting: `hard`: negatives like their anchor weigh more (the released unpaired setting);
            `easy`: less; None: all weigh 1, which is PatchNCE itself.
        epsilon: weight of the plan's entropy, > 0; released 1. Large values bring all weights
            to 1, small ones leave few negatives an anchor.
        iterations: of Sinkhorn; released 50, but with epsilon 1 five reach the marginals up to
            rounding. A small epsilon needs more.
        strength: factor on all negatives, > 0; released 1.
        detach_weights: the weights are constants in the gradient. The released code lets gradient
            through the anchors' side of the plan: False does that for whatever carries gradient.
        settings: all settings of `PatchNCELoss`. With `positions=None` on large maps the plan's
            N x N matrices are large.

    Raises:
        ConfigError: a setting outside its range.
    """

    def __init__(
        self,
        weight: float = 1.0,
        weighting: str | None = "hard",
        epsilon: float = 1.0,
        iterations: int = 10,
        strength: float = 1.0,
        detach_weights: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(weight, **settings)
        allowed = (*GAINS, None)
        self._check("weighting", weighting, weighting in allowed, ", ".join(map(repr, allowed)))
        self._check("epsilon", epsilon, epsilon > 0, "values > 0")
        self._check("iterations", iterations, iterations > 0, "an int > 0")
        self._check("strength", strength, strength > 0, "values > 0")
        self.weighting = weighting
        self.epsilon = epsilon
        self.iterations = iterations
        self.strength = strength
        self.detach_weights = detach_weights

    def log_weights(self, cosine: Tensor) -> Tensor | None:
        """Logarithms (B, N, N) of the weights; rows of weights have the mean `strength`."""
        if self.weighting is None and self.strength == 1:
            return None
        if self.detach_weights:
            cosine = cosine.detach()
        weights = cosine.new_zeros(())
        if self.weighting is not None:
            weights = negative_log_weights(cosine, self.weighting, self.epsilon, self.iterations)
        return (weights + math.log(self.strength)).expand_as(cosine)
