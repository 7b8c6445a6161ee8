"""Cycle loss: the exemplar, warped to the condition and back, should be itself again.

L_cyc of MCL-Net; the correspondence regularisation of CoCosNet (section 3.3).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.losses.base import Loss
from mcltoolkit.precision import at_least_float32
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import Translation


@LOSSES.register_module()
class CycleLoss(Loss):
    """L1 of the exemplar warped there and back against the exemplar at the same size.

    Args:
        weight: 1 for MCL-Net (our choice; it has the term on everywhere). CoCosNet's released
            values: 0 for ADE20K, 1 for CelebA-HQ edges, 0.1 for CelebA-HQ masks.
    """

    requires = frozenset({"cycle"})

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar.

        Raises:
            AttributeError: the correspondence did not make `cycle`.
        """
        alignment = translation.alignment
        if alignment.cycle is None or alignment.cycle_target is None:
            raise AttributeError(
                "the alignment has no 'cycle' or 'cycle_target'; the correspondence must make "
                "both when 'cycle' is among the outputs asked for"
            )
        target = at_least_float32(alignment.cycle_target.detach())
        return F.l1_loss(at_least_float32(alignment.cycle), target)
