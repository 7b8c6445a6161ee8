"""Hierarchical correspondence: a dense match on the coarse grid, PatchMatch on finer ones.

CoCosNet v2 (Zhou et al., "CoCosNet v2: Full-Resolution Correspondence Learning for Image
Translation", CVPR 2021): a dense match costs N^2, which ends at 64 x 64. Each finer level starts
from the coarser one's match and corrects it locally, and each level's warped exemplar guides the
generator and can be compared with the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.correspondence import average_pool, upsample
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.registry import CORRESPONDENCES, build_component
from mcltoolkit.structures import Alignment, Batch, Match
from mcltoolkit_cocosnet2.gru import OffsetRefiner
from mcltoolkit_cocosnet2.pyramid import FinerFeatures
from mcltoolkit_cocosnet2.refine import LevelSearch
from mcltoolkit_cocosnet2.search import children, top_partners

CONDITION, EXEMPLAR = "condition", "exemplar"
WITH_LABELS = frozenset({"warped_labels", "warped_label_levels"})


@CORRESPONDENCES.register_module()
class HierarchicalCorrespondence(nn.Module):
    """A coarse correspondence, refined on `levels` grids, each twice as fine as the one before.

    `Alignment` holds the finest level's sparse match and the image `warped` by it; `warped_labels`
    have the grid of level `labels_level`; `cycle` is the coarse correspondence's, as in CoCosNet
    v2. `guidance` is the warped exemplar of all levels at full size, coarsest first, and
    `extras["warped_levels"]` the same at each level's own size;
    `extras["warped_label_levels"]` are the labels, up to level `labels_level`. In training, each
    level's search draws from torch's generator; in evaluation it follows a fixed pattern.

    Args:
        in_channels: D, channels of the descriptors.
        condition_channels: C of the dense condition.
        levels: doublings above the coarse grid, >= 1; 2^levels is at most the encoders' stride (3
            for a 64 x 64 grid of 512 x 512 images).
        coarse: config of the coarse correspondence; any registered one whose match gives
            `probabilities(rows)`.
        candidates: K, places a position keeps (16 in the authors' code).
        iterations: of propagation, search and refinement on each level (5 in the authors' code).
        propagation: distances of the neighbours whose candidates are tried, in positions.
        search: candidates an iteration that are searched around the best one; 0 for none.
        radius: of the first iteration's search, in cells; halved from one to the next.
        refine: refine candidates by the convolutional GRU, shared by all levels.
        hidden: width of the GRU's state.
        reach: the farthest move of one refinement, in cells.
        recompute: compute the GRU's layers again for the gradient instead of keeping them; at
            512 x 512 they take more than a gigabyte an iteration.
        width, embed: width of the finer features' layers, and of the vectors that are compared.
        mask_mix: the exemplar's finer features see its condition map too (as the authors' code).
        temperature: of the softmax over candidates, > 0.
        labels_level: finest level whose match warps labels, 0 (coarse) .. `levels`; None is
            `levels`. A full-size map of many classes takes much memory.

    Attributes:
        guidance_channels: 3 * (levels + 1).

    Raises:
        ConfigError: a setting outside its range.
    """

    provides: frozenset[str] = frozenset({"warped_levels", "warped_label_levels"})

    def __init__(
        self,
        in_channels: int,
        condition_channels: int,
        levels: int = 3,
        coarse: Mapping[str, Any] | None = None,
        candidates: int = 16,
        iterations: int = 5,
        propagation: Sequence[int] = (1,),
        search: int = 4,
        radius: int = 4,
        refine: bool = True,
        hidden: int = 32,
        reach: float = 2.0,
        recompute: bool = False,
        width: int = 64,
        embed: int = 32,
        mask_mix: bool = False,
        temperature: float = 0.01,
        labels_level: int | None = None,
    ) -> None:
        super().__init__()
        for setting, value, least in (
            ("levels", levels, 1),
            ("candidates", candidates, 1),
            ("iterations", iterations, 1),
            ("search", search, 0),
            ("radius", radius, 1),
            ("embed", embed, 2),
        ):
            if value < least:
                raise ConfigError(
                    f"HierarchicalCorrespondence.{setting} is {value}; allowed is {least} or more"
                )
        if not temperature > 0:
            raise ConfigError(
                f"HierarchicalCorrespondence.temperature is {temperature}; allowed are values > 0, "
                f"such as 0.01"
            )
        if not propagation or min(propagation) < 1:
            raise ConfigError(
                f"HierarchicalCorrespondence.propagation is {list(propagation)}; allowed is a list "
                f"of distances >= 1, such as [1] or [1, 4]"
            )
        self.labels_level = levels if labels_level is None else labels_level
        if not 0 <= self.labels_level <= levels:
            raise ConfigError(
                f"HierarchicalCorrespondence.labels_level is {labels_level}; allowed are 0 "
                f"(coarse) .. {levels} (finest), or None for the finest"
            )
        self.levels = levels
        self.candidates = candidates
        self.mask_mix = mask_mix
        self.guidance_channels = 3 * (levels + 1)
        self.coarse = build_component(
            CORRESPONDENCES,
            {"type": "CosineCorrespondence", **(coarse or {})},
            "model.correspondence.coarse",
            in_channels=in_channels,
            condition_channels=condition_channels,
        )
        self.provides = self.provides | getattr(self.coarse, "provides", frozenset())
        inputs = {CONDITION: condition_channels, EXEMPLAR: 3 + mask_mix * condition_channels}
        self.features = FinerFeatures(in_channels, inputs, levels, width, embed)
        self.search = LevelSearch(
            candidates,
            iterations,
            propagation,
            search,
            radius,
            temperature,
            OffsetRefiner(embed, candidates, hidden, reach) if refine else None,
            recompute,
        )

    def forward(
        self,
        condition_descriptors: Tensor,
        exemplar_descriptors: Tensor,
        batch: Batch,
        outputs: frozenset[str] = frozenset(),
    ) -> Alignment:
        """Match on every level and warp the exemplar.

        Args:
            condition_descriptors: (B, D, h, w).
            exemplar_descriptors: the same for the exemplar; its grid may differ.
            batch: exemplar (B, 3, H, W) and dense conditions (B, C, H, W).
            outputs: optional outputs to compute: `warped_labels`, `warped_label_levels`, `cycle`;
                `warped_levels` is always there.

        Raises:
            DataError: the exemplar's condition is needed but missing.
            ConfigError: images that the finest grid does not fit.
        """
        condition = self._inputs(batch, outputs)
        size = (condition.shape[-2], condition.shape[-1])
        for grid, image in (
            (condition_descriptors.shape[-2:], size),
            (exemplar_descriptors.shape[-2:], batch.exemplar.shape[-2:]),
        ):
            self._check_size((grid[0], grid[1]), (image[0], image[1]))
        alignment: Alignment = self.coarse(
            condition_descriptors, exemplar_descriptors, batch, outputs - WITH_LABELS
        )
        seen = [batch.exemplar]
        if self.mask_mix and batch.exemplar_condition is not None:
            seen.append(batch.exemplar_condition)
        matches: list[Match] = [alignment.match]
        warped = [average_pool(alignment.warped, alignment.match.grid)]
        places = top_partners(alignment.match, self.candidates)
        for queries, keys in zip(
            self.features(condition_descriptors, condition, CONDITION),
            self.features(exemplar_descriptors, torch.cat(seen, dim=1), EXEMPLAR),
            strict=True,
        ):
            exemplar_grid = (keys.shape[-2], keys.shape[-1])
            match, places = self.search(queries, keys, children(places, exemplar_grid))
            colours = match.warp(average_pool(batch.exemplar, exemplar_grid).flatten(2))
            matches.append(match)
            warped.append(colours.unflatten(2, match.grid))
        alignment.match = matches[-1]
        shown = [alignment.warped, *(upsample(image, size, "nearest") for image in warped[1:])]
        alignment.warped = shown[-1]
        alignment.guidance = torch.cat([image.to(shown[-1].dtype) for image in shown], dim=1)
        alignment.extras["warped_levels"] = warped
        exemplar_condition = batch.exemplar_condition
        if "warped_label_levels" in outputs and exemplar_condition is not None:
            label_levels = [
                _warp_labels(match, exemplar_condition)
                for match in matches[: self.labels_level + 1]
            ]
            alignment.extras["warped_label_levels"] = label_levels
            alignment.warped_labels = label_levels[-1]
        elif "warped_labels" in outputs and exemplar_condition is not None:
            match = matches[self.labels_level]
            alignment.warped_labels = _warp_labels(match, exemplar_condition)
        return alignment

    def _inputs(self, batch: Batch, outputs: frozenset[str]) -> Tensor:
        if batch.condition is None:
            raise DataError(
                f"the batch {batch.names} has no dense condition; call Batch.with_one_hot first"
            )
        users = ["HierarchicalCorrespondence.mask_mix"] if self.mask_mix else []
        if outputs & WITH_LABELS:
            users.append(f"a loss or metric that reads {sorted(outputs & WITH_LABELS)}")
        if users and batch.exemplar_condition is None:
            raise DataError(
                f"the exemplars of {batch.names} have no labels or condition map, which "
                f"{' and '.join(users)} needs; give the exemplars' labels in the data set, or set "
                f"mask_mix=False and remove the losses on warped labels"
            )
        return batch.condition

    def _check_size(self, grid: tuple[int, int], size: tuple[int, int]) -> None:
        finest = (grid[0] << self.levels, grid[1] << self.levels)
        if size[0] % finest[0] == size[1] % finest[1] == 0:
            return
        stride = size[0] // grid[0]
        raise ConfigError(
            f"HierarchicalCorrespondence.levels is {self.levels}, which makes a grid of "
            f"{finest[0]}x{finest[1]} out of {grid[0]}x{grid[1]}, but images of "
            f"{size[0]}x{size[1]} are not a whole multiple of that; with these encoders (stride "
            f"{stride}) allowed are levels up to {max(stride.bit_length() - 1, 0)}: set fewer "
            f"levels, or encoders of a larger stride (StridedEncoder)"
        )


def _warp_labels(match: Match, exemplar_condition: Tensor) -> Tensor:
    labels = F.interpolate(exemplar_condition, size=match.exemplar_grid, mode="nearest")
    return match.warp(labels.flatten(2)).unflatten(2, match.grid)
