"""Mask loss of every level: the exemplar's labels, warped by any level, should be the condition's.

CoCosNet's mask loss (see `mcltoolkit.losses.mask`), once a level as CoCosNet v2 has its warping
loss: a single level's would leave the others without the labels. This package's own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcltoolkit.losses.mask import MaskLoss, mask_nll
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import Translation


@LOSSES.register_module()
class LevelMaskLoss(MaskLoss):
    """Sum over the levels 0 (coarse) .. `labels_level` of the negative log likelihood of the warped
    exemplar labels against the condition's labels.

    Args:
        weight, ignore_label, eps: see `MaskLoss`.
    """

    requires = frozenset({"warped_label_levels", "labels", "exemplar_labels"})

    def forward(self, translation: Translation) -> Tensor:
        """Scalar."""
        batch = translation.batch
        assert batch.labels is not None, "listed in `requires`"
        assert batch.exemplar_labels is not None, "listed in `requires`"
        levels: list[Tensor] = translation.need("warped_label_levels")
        terms = [
            mask_nll(warped, batch.labels, batch.exemplar_labels, self.ignore_label, self.eps)
            for warped in levels
        ]
        return torch.stack(terms).sum()
