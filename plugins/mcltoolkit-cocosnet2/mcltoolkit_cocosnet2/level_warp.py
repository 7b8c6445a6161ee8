"""Warping loss of every level: where the exemplar shows the truth, its warp must be the truth.

CoCosNet v2 (Zhou et al., CVPR 2021, section 3.3): the finer levels' matches learn from pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mcltoolkit.correspondence import average_pool
from mcltoolkit.errors import ConfigError
from mcltoolkit.losses.base import Loss
from mcltoolkit.losses.paired import l1_per_sample, paired_mean
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import Translation


@LOSSES.register_module()
class LevelWarpLoss(Loss):
    """Sum over levels of the L1 of the level's warped exemplar against the truth, averaged down to
    the level's grid; mean over paired samples, zero in a batch without one.

    Args:
        weight: 500 in the authors' command for DeepFashion-HD.
        level_weights: of each level, coarsest first; None is 1 each.
    """

    requires = frozenset({"truth", "warped_levels"})
    paired_only = True

    def __init__(self, weight: float = 500.0, level_weights: Sequence[float] | None = None) -> None:
        super().__init__(weight)
        self.level_weights = None if level_weights is None else list(level_weights)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar.

        Raises:
            ConfigError: another number of `level_weights` than of levels.
        """
        levels: list[Tensor] = translation.need("warped_levels")
        weights = [1.0] * len(levels) if self.level_weights is None else self.level_weights
        if len(weights) != len(levels):
            raise ConfigError(
                f"LevelWarpLoss.level_weights has {len(weights)} values, but the correspondence "
                f"has {len(levels)} levels with the coarse one; give {len(levels)} values or None"
            )
        batch = translation.batch
        assert batch.truth is not None, "listed in `requires`"
        terms = []
        for weight, warped in zip(weights, levels, strict=True):
            truth = average_pool(batch.truth, (warped.shape[-2], warped.shape[-1]))
            terms.append(weight * l1_per_sample(warped, truth))
        return paired_mean(torch.stack(terms).sum(0), batch.paired)
