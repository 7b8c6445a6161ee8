"""Feature consistency: both encoders should describe a condition and its own image alike.

L_fcst of MCL-Net; the domain alignment loss of CoCosNet (section 3.3).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.losses.base import Loss
from mcltoolkit.precision import at_least_float32
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import Translation


@LOSSES.register_module()
class FeatureConsistencyLoss(Loss):
    """L1 of the unit-length features of the condition and of the truth, (B, C, h, w) each.

    Args:
        weight: released value 10.
    """

    requires = frozenset({"truth", "truth_features"})

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__(weight)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: mean over batch, channels and positions."""
        ours, truth = translation.need("condition_features"), translation.need("truth_features")
        return F.l1_loss(at_least_float32(ours), at_least_float32(truth))
