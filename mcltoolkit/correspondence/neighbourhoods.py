"""The cosine match of square neighbourhoods of positions, which need not be unfolded.

CoCosNet (Zhang et al., CVPR 2020) compares 3 x 3 neighbourhoods: 2304 numbers a position. The
matrix of all cosines is a sum of diagonals of that of single positions (`ops.neighbourhood`), with
a ninth of the operations; so the matrix is kept wherever it fits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit import ops
from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.layers.unit import unit_length
from mcltoolkit.ops.blocks import LOG2E, exporting
from mcltoolkit.precision import at_least_float32


def unfold_neighbourhoods(features: Tensor, side: int, centre: str = "channels") -> Tensor:
    """Zero-padded neighbourhoods of all positions, centred and of unit length.

    Args:
        features: (B, D, h, w).
        side: of the neighbourhood, odd.
        centre: subtract the mean over the values of a position (`channels`) or over positions.

    Returns:
        (B, D * side^2, h * w), not in half precision.
    """
    values = F.unfold(at_least_float32(features), side, padding=side // 2)
    return unit_length(values - values.mean(1 if centre == "channels" else 2, keepdim=True))


class NeighbourhoodMatch(CosineMatch):
    """`CosineMatch` of what `unfold_neighbourhoods` makes of two maps, with centre `channels`.

    Unfolded vectors are made only where single rows, or the heaviest partners, are asked for.

    Args:
        condition: (B, D, h, w), embedded.
        exemplar: (B, D, h', w'), embedded.
        side: of the neighbourhood, odd.
        temperature: divides the cosine; > 0.
        memory: see `CosineMatch`.
    """

    def __init__(
        self,
        condition: Tensor,
        exemplar: Tensor,
        side: int,
        temperature: float = 0.01,
        memory: str = "auto",
    ) -> None:
        self.maps = at_least_float32(condition), at_least_float32(exemplar)
        self.side = side
        self.grid = (condition.shape[2], condition.shape[3])
        self.exemplar_grid = (exemplar.shape[2], exemplar.shape[3])
        self.temperature = temperature
        self.memory = memory
        self._kept: dict[bool, Tensor] = {}
        self._unfolded: dict[tuple[int, bool], Tensor] = {}

    @property
    def queries(self) -> Tensor:  # type: ignore[override]
        """(B, D * side^2, N), unit vectors of the condition's positions."""
        return self._vectors(0)

    @property
    def keys(self) -> Tensor:  # type: ignore[override]
        """(B, D * side^2, M), unit vectors of the exemplar's positions."""
        return self._vectors(1)

    def release(self) -> None:
        """See `CosineMatch`."""
        super().release()
        self._unfolded.clear()

    def warp(self, values: Tensor) -> Tensor:
        """See `CosineMatch`."""
        if self.is_dense or exporting():
            return super().warp(values)
        return ops.neighbourhood_match(*self.maps, values, self.side, self.temperature)

    def warp_back(self, values: Tensor) -> Tensor:
        """See `CosineMatch`."""
        if self.is_dense or exporting():
            return super().warp_back(values)
        condition, exemplar = self.maps
        return ops.neighbourhood_match(exemplar, condition, values, self.side, self.temperature)

    def warp_cycle(self, values: Tensor, channels: int) -> tuple[Tensor, Tensor]:
        """See `CosineMatch`."""
        if self.is_dense or exporting():
            return super().warp_cycle(values, channels)
        return ops.neighbourhood_cycle(*self.maps, values, self.side, self.temperature, channels)

    def _vectors(self, which: int) -> Tensor:
        key = (which, torch.is_grad_enabled())
        if key not in self._unfolded:
            self._unfolded[key] = unfold_neighbourhoods(self.maps[which], self.side)
        return self._unfolded[key]

    def _is_wide(self) -> bool:
        return True

    def _bytes(self) -> int:
        (height, width), (rows, columns) = self.grid, self.exemplar_grid
        maps = self.maps[0]
        return len(maps) * height * width * rows * columns * maps.element_size()

    def _make_logits(self) -> Tensor:
        if exporting():  # as few operations as possible, rather than fast ones
            return super()._make_logits()
        return ops.neighbourhood_cosines(*self.maps, self.side, self.temperature / LOG2E)
