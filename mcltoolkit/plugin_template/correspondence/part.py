"""Softmax over the cosine of embedded descriptors.

Replace this with your idea and its source.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import CORRESPONDENCES
from mcltoolkit.correspondence import CosineMatch, average_pool, upsample
from mcltoolkit.errors import DataError
from mcltoolkit.layers import Conv, at_least_float32, unit_length
from mcltoolkit.structures import Alignment, Batch


@CORRESPONDENCES.register_module()
class MyPart(nn.Module):
    """Matches every place of the condition with places of the exemplar, and warps the exemplar.

    The match that it returns says how places belong together; it need not be a `CosineMatch`, only
    look like `mcltoolkit.structures.Match`. See `mcltoolkit.interfaces.Correspondence`.

    Args:
        in_channels: D of the descriptors, filled in by the toolkit.
        condition_channels: C of the condition, filled in by the toolkit.
        embed: channels that are compared.
        temperature: divides the cosine; > 0.
    """

    def __init__(
        self,
        in_channels: int,
        condition_channels: int,
        embed: int = 32,
        temperature: float = 0.05,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.condition_head = Conv(in_channels, embed, 1)
        self.exemplar_head = Conv(in_channels, embed, 1)

    def forward(
        self,
        condition_descriptors: Tensor,
        exemplar_descriptors: Tensor,
        batch: Batch,
        outputs: frozenset[str] = frozenset(),
    ) -> Alignment:
        """Match the two maps and warp the exemplar.

        Args:
            condition_descriptors: (B, D, h, w).
            exemplar_descriptors: the same for the exemplar; its grid may differ.
            batch: exemplar (B, 3, H, W), dense conditions (B, C, H, W).
            outputs: `warped_labels` and `cycle` are made if they are asked for.

        Raises:
            DataError: labels are asked for, and the exemplar has none.
        """
        grid, exemplar_grid = _size(condition_descriptors), _size(exemplar_descriptors)
        match = CosineMatch(
            _vectors(self.condition_head(condition_descriptors)),
            _vectors(self.exemplar_head(exemplar_descriptors)),
            grid,
            exemplar_grid,
            self.temperature,
        )
        pooled = average_pool(batch.exemplar, exemplar_grid)
        warped = match.warp(pooled.flatten(2)).unflatten(2, grid)
        assert batch.condition is not None
        alignment = Alignment(match, upsample(warped, _size(batch.condition), "bilinear"))
        if "warped_labels" in outputs:
            if batch.exemplar_condition is None:
                raise DataError(
                    f"the exemplars of {batch.names} have no labels to warp; give them in the data "
                    f"set, or remove the losses on warped labels"
                )
            labels = F.interpolate(batch.exemplar_condition, size=exemplar_grid, mode="nearest")
            alignment.warped_labels = match.warp(labels.flatten(2)).unflatten(2, grid)
        if "cycle" in outputs:
            alignment.cycle = match.warp_back(warped.flatten(2)).unflatten(2, exemplar_grid)
            alignment.cycle_target = pooled
        return alignment


def _size(values: Tensor) -> tuple[int, int]:
    return values.shape[-2], values.shape[-1]


def _vectors(features: Tensor) -> Tensor:
    """(B, E, h, w) -> (B, E, h * w) of unit length; at a low temperature rounding would tell."""
    return unit_length(at_least_float32(features).flatten(2))
