"""CoCosNet's cosine correspondence (Zhang et al., CVPR 2020, section 3.1).

Both descriptor maps go through the same residual blocks, are embedded by a convolution each,
compared by the cosine of their neighbourhoods, and the exemplar is warped by the softmax.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.context import OneHot
from mcltoolkit.correspondence.match import MEMORY, CosineMatch
from mcltoolkit.correspondence.neighbourhoods import NeighbourhoodMatch, unfold_neighbourhoods
from mcltoolkit.correspondence.residual import SharedResidualBlock
from mcltoolkit.correspondence.warp import (
    average_pool,
    fold_patches,
    pool_factor,
    unfold_patches,
    upsample,
)
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.layers.init import init_weights
from mcltoolkit.layers.sizes import check_counts
from mcltoolkit.registry import CORRESPONDENCES
from mcltoolkit.structures import Alignment, Batch, Match


def coordinate_map(grid: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """x, y and radius of each grid position, (3, h, w) float32.

    x is -1 in the first column and 1 in the last, y likewise by rows (0 where there is only one).
    The radius sqrt(x^2 + y^2) is the distance to the centre, each side measured in half the image:
    sqrt(2) in the corners, as in CoCosNet.
    """

    def axis(count: int) -> Tensor:
        steps = torch.arange(count, device=device, dtype=torch.float32)
        return (2 * steps - (count - 1)) / max(count - 1, 1)

    y, x = torch.meshgrid(axis(grid[0]), axis(grid[1]), indexing="ij")
    return torch.stack([x, y, (x.square() + y.square()).sqrt()])


@CORRESPONDENCES.register_module()
class CosineCorrespondence(nn.Module):
    """Matches condition and exemplar descriptors and warps the exemplar.

    Another way to match the same features is a subclass that overrides `make_match`.

    Parameter names (`layer`, `theta`, `phi`) are those of the released checkpoints; `project`
    exists only where `hidden` is set.

    Args:
        in_channels: D, channels of the descriptors.
        condition_channels: C of the dense condition, for `mask_mix`.
        hidden: width of the residual blocks; None keeps the joint width of descriptors,
            coordinates and condition, as released; a number adds a 1x1 convolution before them.
        embed: width of the embedding by theta and phi.
        blocks: residual blocks, shared by both sides.
        mask_mix: append the condition map, resized with nearest, to the descriptors.
        coordinates: append x, y and radius (`coordinate_map`) to the descriptors.
        neighbourhood: side of the zero-padded square of positions that is compared; odd.
        centre: subtract the mean over the values of a position (`channels`) or over positions.
        temperature: of the softmax, > 0.
        warp: `average` (pooled exemplar, upsampled) or `patch` (whole pixel patches).
        upsample: `nearest` or `bilinear`, for `average`.
        memory: `dense` keeps the matrix of all pairs for the backward pass, `blocks` makes it again
            in memory linear in the positions, `auto` takes what is faster where it fits; the
            results are the same. See `CosineMatch`.

    Raises:
        ConfigError: a setting outside these values.
    """

    def __init__(
        self,
        in_channels: int,
        condition_channels: int,
        hidden: int | None = None,
        embed: int = 256,
        blocks: int = 4,
        mask_mix: bool = False,
        coordinates: bool = False,
        neighbourhood: int = 3,
        centre: str = "channels",
        temperature: float = 0.01,
        warp: str = "average",
        upsample: str = "nearest",
        memory: str = "auto",
    ) -> None:
        super().__init__()
        self._check("centre", centre, ("channels", "positions"))
        self._check("warp", warp, ("average", "patch"))
        self._check("upsample", upsample, ("nearest", "bilinear"))
        self._check("memory", memory, MEMORY)
        check_counts(type(self).__name__, embed=embed, neighbourhood=neighbourhood)
        if neighbourhood % 2 == 0:
            raise ConfigError(
                f"{type(self).__name__}.neighbourhood is {neighbourhood}; allowed are odd numbers, "
                f"such as 1 or 3"
            )
        if not temperature > 0:
            raise ConfigError(
                f"{type(self).__name__}.temperature is {temperature}; allowed are values > 0, "
                f"such as 0.01"
            )
        self.mask_mix = bool(mask_mix)
        self.coordinates = bool(coordinates)
        self.neighbourhood = neighbourhood
        self.centre = centre
        self.temperature = temperature
        self.warp_mode = warp
        self.upsample_mode = upsample
        self.memory = memory
        joint = in_channels + 3 * self.coordinates + condition_channels * self.mask_mix
        width = joint if hidden is None else hidden
        self.project = nn.Identity() if hidden is None else nn.Conv2d(joint, hidden, 1)
        self.layer = nn.Sequential(*(SharedResidualBlock(width) for _ in range(blocks)))
        self.theta = nn.Conv2d(width, embed, 1)
        self.phi = nn.Conv2d(width, embed, 1)
        init_weights(self)

    takes_context = True

    def forward(
        self,
        condition_descriptors: Tensor,
        exemplar_descriptors: Tensor,
        batch: Batch,
        outputs: frozenset[str] = frozenset(),
        prepared: Tensor | None = None,
    ) -> Alignment:
        """Match the two maps and warp the exemplar.

        Args:
            condition_descriptors: (B, D, h, w), unit length over D.
            exemplar_descriptors: the same for the exemplar; its grid may differ.
            batch: exemplar (B, 3, H, W) and dense conditions (B, C, H, W).
            outputs: optional outputs to compute: `warped_labels`, `cycle`.
            prepared: what `prepare_exemplar` made of the exemplar's side, if it was called before.

        Raises:
            DataError: the exemplar's condition is needed but missing.
            ConfigError: an image size that the grid does not divide, or a grid too small.
        """
        condition, exemplar_condition = self._conditions(batch, outputs)
        ours = self.features(condition_descriptors, self._mixed(condition, condition_descriptors))
        if prepared is None:
            theirs = self._mixed(exemplar_condition, exemplar_descriptors)
            prepared = self.features(exemplar_descriptors, theirs)
        match = self.make_match(ours, prepared)
        size = (condition.shape[-2], condition.shape[-1])
        colours = self._colours(match, batch.exemplar, size)
        values = [colours.flatten(2)]
        if "warped_labels" in outputs and exemplar_condition is not None:
            labels = _on_grid(exemplar_condition, match.exemplar_grid)
            values.append(labels.flatten(2))
        # one call for all: the match, not the width of the values, is what takes time
        warped, back = _warp(match, torch.cat(values, 1), colours.shape[1], "cycle" in outputs)
        parts = warped.split([value.shape[1] for value in values], dim=1)
        alignment = Alignment(match, self._painted(match.grid, parts[0], size))
        if len(parts) > 1:
            alignment.warped_labels = parts[1].unflatten(2, match.grid)
        if back is not None and self.warp_mode == "patch":
            factor = pool_factor(size, match.grid)
            alignment.cycle = fold_patches(back, match.exemplar_grid, factor)
            alignment.cycle_target = batch.exemplar
        elif back is not None:
            alignment.cycle = back.unflatten(2, match.exemplar_grid)
            alignment.cycle_target = colours
        return alignment

    def prepare_exemplar(self, descriptors: Tensor, condition: Tensor | OneHot | None) -> Tensor:
        """The exemplar's side of the match, which no condition changes: its `features`.

        Args:
            descriptors: (B, D, h, w), of the exemplars.
            condition: (B, C, H, W), dense or `OneHot`, the exemplars'.

        Raises:
            DataError: `mask_mix` is set and there is no condition.
        """
        if self.mask_mix and condition is None:
            raise DataError(
                f"{type(self).__name__}.mask_mix needs the exemplar's labels or condition map; "
                f"give them, or use a model without mask_mix"
            )
        return self.features(descriptors, self._mixed(condition, descriptors))

    def features(self, descriptors: Tensor, condition: Tensor | None) -> Tensor:
        """What the residual blocks make of one side, before it is embedded: (B, F, h, w).

        Args:
            descriptors: (B, D, h, w).
            condition: (B, C, H, W) of any size, dense; read only where `mask_mix` is set.

        Raises:
            ConfigError: a grid too small.
        """
        grid = _grid(descriptors)
        if min(grid) < 2:
            raise ConfigError(
                f"the correspondence grid is {grid[0]}x{grid[1]}; each side needs at least 2 "
                f"positions, so use larger images or encoders with a smaller stride"
            )
        parts = [descriptors]
        if self.coordinates:
            place = coordinate_map(grid, descriptors.device).to(descriptors.dtype)
            parts.append(place.expand(len(descriptors), -1, -1, -1))
        if self.mask_mix and condition is not None:
            parts.append(F.interpolate(condition, size=grid, mode="nearest"))
        joint: Tensor = self.layer(self.project(torch.cat(parts, dim=1)))
        return joint

    def embed(self, features: Tensor, head: nn.Module) -> Tensor:
        """The vectors that are compared: embedded neighbourhoods, centred, of unit length.

        Args:
            features: (B, F, h, w), of `features`.
            head: `theta` for the condition's side, `phi` for the exemplar's.

        Returns:
            (B, `embed` * `neighbourhood`^2, h * w), not in half precision.
        """
        return unfold_neighbourhoods(head(features), self.neighbourhood, self.centre)

    def make_match(self, condition_features: Tensor, exemplar_features: Tensor) -> Match:
        """The match of the two sides; a subclass that matches otherwise overrides this.

        Args:
            condition_features: (B, F, h, w), of `features`.
            exemplar_features: the same for the exemplar; its grid may differ.
        """
        embeds = type(self).embed is CosineCorrespondence.embed
        if embeds and self.neighbourhood > 1 and self.centre == "channels":
            return NeighbourhoodMatch(
                self.theta(condition_features),
                self.phi(exemplar_features),
                self.neighbourhood,
                self.temperature,
                self.memory,
            )
        return CosineMatch(
            self.embed(condition_features, self.theta),
            self.embed(exemplar_features, self.phi),
            _grid(condition_features),
            _grid(exemplar_features),
            self.temperature,
            self.memory,
        )

    def _mixed(self, condition: Tensor | OneHot | None, descriptors: Tensor) -> Tensor | None:
        """A condition as `features` reads it, where it does."""
        if condition is None or not self.mask_mix:
            return None
        return _on_grid(condition, _grid(descriptors))

    def _conditions(
        self, batch: Batch, outputs: frozenset[str]
    ) -> tuple[Tensor | OneHot, Tensor | OneHot | None]:
        condition, exemplar_condition = batch.given_condition, batch.given_exemplar_condition
        if condition is None:
            raise DataError(
                f"the batch {batch.names} has no dense condition; call Batch.with_one_hot first"
            )
        users = [f"{type(self).__name__}.mask_mix"] if self.mask_mix else []
        if "warped_labels" in outputs:
            users.append("a loss or metric that reads 'warped_labels'")
        if users and exemplar_condition is None:
            raise DataError(
                f"the exemplars of {batch.names} have no labels or condition map, which "
                f"{' and '.join(users)} needs; give the exemplars' labels in the data set, or set "
                f"mask_mix=False and remove the losses on warped labels"
            )
        return condition, exemplar_condition

    def _colours(self, match: Match, exemplar: Tensor, size: tuple[int, int]) -> Tensor:
        """What is warped: the pooled exemplar (B, 3, h, w), or its cells' pixels (B, C, M)."""
        if self.warp_mode == "average":
            pool_factor(size, match.grid)
            return average_pool(exemplar, match.exemplar_grid)
        factor = pool_factor((exemplar.shape[-2], exemplar.shape[-1]), match.exemplar_grid)
        if factor != pool_factor(size, match.grid):
            raise ConfigError(
                f"{type(self).__name__}.warp is 'patch', which needs cells of one size on both "
                f"sides; found {pool_factor(size, match.grid)} pixels for the condition and "
                f"{factor} for the exemplar; use images of one size, or warp='average'"
            )
        return unfold_patches(exemplar, match.exemplar_grid)

    def _painted(self, grid: tuple[int, int], warped: Tensor, size: tuple[int, int]) -> Tensor:
        """Warped colours (B, C, N) at full size."""
        if self.warp_mode == "average":
            return upsample(warped.unflatten(2, grid), size, self.upsample_mode)
        return fold_patches(warped, grid, pool_factor(size, grid))

    def _check(self, setting: str, value: str, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            raise ConfigError(
                f"{type(self).__name__}.{setting} is {value!r}; allowed are {', '.join(allowed)}"
            )


def _warp(match: Match, values: Tensor, channels: int, cycle: bool) -> tuple[Tensor, Tensor | None]:
    """Values (B, C, M) warped, and the first `channels` of them warped back, if asked for."""
    if not cycle:
        return match.warp(values), None
    both = getattr(match, "warp_cycle", None)
    if both is not None:
        warped, back = both(values, channels)
        return warped, back
    warped = match.warp(values)
    return warped, match.warp_back(warped[:, :channels])


def _on_grid(condition: Tensor | OneHot, grid: tuple[int, int]) -> Tensor:
    """Dense (B, C, h, w), resized with nearest."""
    if isinstance(condition, OneHot):
        return condition.resized(grid).dense()
    return F.interpolate(condition, size=grid, mode="nearest")


def _grid(values: Tensor) -> tuple[int, int]:
    return values.shape[-2], values.shape[-1]
