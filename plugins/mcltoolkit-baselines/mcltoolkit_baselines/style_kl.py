"""The KL term that keeps encoded styles near the standard normal (Kingma and Welling, ICLR 2014).

SPADE (Park et al., CVPR 2019) trains its style encoder with it, at weight 0.05.
"""

from __future__ import annotations

from torch import Tensor

from mcltoolkit.layers import at_least_float32, without_autocast
from mcltoolkit.losses.base import Loss
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import Translation


def standard_normal_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, I)) of each sample, (B, D) each -> (B,), float32 at least.

    Half the sum over D of mean^2 + exp(logvar) - 1 - logvar.
    """
    with without_autocast(mean):
        mean, logvar = at_least_float32(mean), at_least_float32(logvar)
        return (mean.square() + logvar.expm1() - logvar).sum(1) / 2


@LOSSES.register_module()
class StyleKLLoss(Loss):
    """KL divergence of the encoded style from the standard normal: sum over the style's numbers,
    mean over the batch.

    The released SPADE sums over the samples of a GPU, too: its weight of 0.05 with 4 samples a GPU
    is a weight of 0.2 here.

    Args:
        weight: factor in the objective.
    """

    requires = frozenset({"style_mean", "style_logvar"})

    def __init__(self, weight: float = 0.05) -> None:
        super().__init__(weight)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar >= 0."""
        mean, logvar = translation.need("style_mean"), translation.need("style_logvar")
        return standard_normal_kl(mean, logvar).mean()
