"""No correspondence: every place of the condition looks at the same place of the exemplar.

For generators that do without an alignment. Nothing is learned or looked for, so what metrics of a
match say about it is chance by construction: label transfer is how often two layouts happen to have
the same class at the same place.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.layers import check_divisible
from mcltoolkit.registry import CORRESPONDENCES
from mcltoolkit.structures import Alignment, Batch

Size = tuple[int, int]


def same_places(grid: Size, other: Size, device: torch.device | str = "cpu") -> Tensor:
    """For each position of `grid` (h, w), in row order, the position of `other` (h', w') whose cell
    holds the same place, both grids being laid over the same picture: (h * w,) int64."""

    def nearest(count: int, others: int) -> Tensor:
        # (k + 1/2) / count of the way, in whole numbers: floats could fall on the wrong side
        return (2 * torch.arange(count, device=device) + 1) * others // (2 * count)

    rows, columns = nearest(grid[0], other[0]), nearest(grid[1], other[1])
    return (rows[:, None] * other[1] + columns).flatten()


class IdentityMatch:
    """A match of each position with the same place on the other side; holds two index vectors.

    Args:
        grid: (h, w) of the condition, h * w = N.
        exemplar_grid: (h', w') of the exemplar, h' * w' = M.
        batch: B, number of samples.
        device: where the indices lie.
    """

    def __init__(
        self, grid: Size, exemplar_grid: Size, batch: int = 1, device: torch.device | str = "cpu"
    ) -> None:
        self.grid = grid
        self.exemplar_grid = exemplar_grid
        self.batch = batch
        self._there = same_places(grid, exemplar_grid, device)
        self._back = same_places(exemplar_grid, grid, device)

    def warp(self, values: Tensor) -> Tensor:
        """Exemplar values (B, C, M) seen from the condition: (B, C, N), in their own dtype."""
        return values.index_select(2, self._there)

    def warp_back(self, values: Tensor) -> Tensor:
        """Condition values (B, C, N) seen from the exemplar: (B, C, M), in their own dtype."""
        return values.index_select(2, self._back)

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        """(B, R, M) float32: 1 at the same place, 0 elsewhere, for the condition positions `rows`
        (R,), default all. Only these rows are made."""
        places = self._there if rows is None else self._there[rows.to(self._there.device)]
        weights = F.one_hot(places, self.exemplar_grid[0] * self.exemplar_grid[1])
        return weights.float().expand(self.batch, -1, -1)


@CORRESPONDENCES.register_module()
class IdentityCorrespondence(nn.Module):
    """Hands the exemplar on as it lies, resized where its size is not the condition's.

    Without parameters, and without features: both encoders may be None. The pictures are cut into
    cells of `stride` pixels only for metrics and reports, which look at matches on a grid.

    `warped_labels` and `cycle` are given where they are asked for, but losses on them have no
    gradient, which the loss-wiring audit reports at the start of a training.

    Args:
        in_channels, condition_channels: filled in by the translator; not read.
        stride: side of a cell, in pixels.

    Raises:
        ConfigError: a stride below 1.
    """

    needs_features = False

    def __init__(
        self,
        in_channels: int | None = None,
        condition_channels: int | None = None,
        stride: int = 4,
    ) -> None:
        super().__init__()
        if stride < 1:
            raise ConfigError(f"IdentityCorrespondence.stride is {stride}; allowed is 1 or more")
        self.stride = stride

    def forward(
        self,
        condition_descriptors: Any,
        exemplar_descriptors: Any,
        batch: Batch,
        outputs: frozenset[str] = frozenset(),
    ) -> Alignment:
        """The trivial alignment; the descriptors, None where there are no encoders, are not read.

        Args:
            batch: exemplar (B, 3, H', W') and dense conditions (B, C, H, W).
            outputs: optional outputs to make: `warped_labels`, `cycle`.

        Raises:
            ConfigError: a size that `stride` does not divide.
            DataError: the exemplar's condition is asked for but missing.
        """
        if batch.condition is None:
            raise DataError(
                f"the batch {batch.names} has no dense condition; call Batch.with_one_hot first"
            )
        size, exemplar_size = _size(batch.condition), _size(batch.exemplar)
        match = IdentityMatch(
            self._grid(size), self._grid(exemplar_size), len(batch), batch.exemplar.device
        )
        alignment = Alignment(match, resize(batch.exemplar, size))
        if "warped_labels" in outputs:
            if batch.exemplar_condition is None:
                raise DataError(
                    f"the exemplars of {batch.names} have no labels or condition map, which a loss "
                    f"or metric that reads 'warped_labels' needs; give them in the data set, or "
                    f"remove that loss or metric"
                )
            labels = F.interpolate(
                batch.exemplar_condition, size=match.exemplar_grid, mode="nearest"
            )
            alignment.warped_labels = match.warp(labels.flatten(2)).unflatten(2, match.grid)
        if "cycle" in outputs:
            target = F.avg_pool2d(batch.exemplar, self.stride)
            there = match.warp(target.flatten(2))
            alignment.cycle = match.warp_back(there).unflatten(2, match.exemplar_grid)
            alignment.cycle_target = target
        return alignment

    def _grid(self, size: Size) -> Size:
        check_divisible(*size, self.stride, type(self).__name__)
        return size[0] // self.stride, size[1] // self.stride


def resize(image: Tensor, size: Size) -> Tensor:
    """Image (B, C, H', W') at size (H, W): bilinear, with antialiasing where it shrinks."""
    if _size(image) == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def _size(image: Tensor) -> Size:
    return image.shape[-2], image.shape[-1]
