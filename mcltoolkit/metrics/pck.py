"""PCK: the share of positions that the match sends near their true place in the exemplar.

Percentage of correct keypoints (Yang and Ramanan, TPAMI 2013), here of every grid position. It
needs exemplars whose match is known, such as smooth warps of the truth, and no pretrained network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics.coarsened import coarsened, heaviest
from mcltoolkit.metrics.measured import MeasuredMetric
from mcltoolkit.metrics.sample_metric import broken_match, match_facts
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Match, Prediction


def matched_positions(match: Match, soft: bool = False, block: int = 512) -> Tensor:
    """The exemplar position that each condition position is matched to.

    Args:
        match: of a batch.
        soft: the mean position under the match's weights, instead of the heaviest position.
        block: condition positions handled at a time; bounds the memory to B x block x M.

    Returns:
        (B, 2, N) column and row in the exemplar's grid, float; whole numbers are cell centres.
        NaN where a weight is not finite.
    """
    columns = match.exemplar_grid[1]
    found = []
    for rows in torch.arange(match.grid[0] * match.grid[1]).split(block):
        weights = match.probabilities(rows)
        best, known = heaviest(weights)
        if soft:
            cells = torch.arange(weights.shape[2], device=weights.device)
            places = torch.stack([cells % columns, cells // columns]).to(weights.dtype)
            place = (weights @ places.T).transpose(1, 2)
        else:
            place = torch.stack([best % columns, best // columns], dim=1).float()
        found.append(torch.where(known[:, None], place, torch.nan))
    return torch.cat(found, dim=2)


def true_positions(
    exemplar_positions: Tensor, grid: tuple[int, int], exemplar_grid: tuple[int, int]
) -> Tensor:
    """The true exemplar position of the centre of each grid cell.

    Args:
        exemplar_positions: (2, H, W), as in `Sample`; read bilinearly at the cell centres.
        grid: (h, w) of the condition.
        exemplar_grid: (h, w) of the exemplar.

    Returns:
        (2, h * w) column and row in the exemplar's grid, as `matched_positions`; NaN where a pixel
        that the centre lies between has no match.
    """
    known = ~exemplar_positions.isnan().any(0)
    values = torch.cat([exemplar_positions.nan_to_num(), known[None].to(exemplar_positions)])
    y, x = (
        (2 * torch.arange(side, device=values.device, dtype=values.dtype) + 1) / side - 1
        for side in grid
    )
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    sampled = F.grid_sample(
        values[None], centres[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    place, share = sampled[0, :2].flatten(1), sampled[0, 2].flatten()
    cells = place.new_tensor([[exemplar_grid[1]], [exemplar_grid[0]]])
    # A centre that falls on a pixel gives its neighbours a weight of a rounding error, not of 0.
    return torch.where(share > 0.999, (place + 1) / 2 * cells - 0.5, torch.nan)


def pck_counts(
    matched: Tensor, true: Tensor, exemplar_grid: tuple[int, int], alphas: Sequence[float]
) -> list[int]:
    """How many positions are matched within `alpha * max(h, w)` of the truth, for each alpha.

    Args:
        matched, true: (2, N) column and row in the exemplar's grid; NaN in `true` does not count.
        exemplar_grid: (h, w) of the exemplar.
        alphas: shares of the grid's longer side.

    Returns:
        A count for each alpha, and last the number of positions that count.
    """
    distance = (matched - true).square().sum(0).sqrt()
    within = [int((distance <= alpha * max(exemplar_grid)).sum()) for alpha in alphas]
    return [*within, int((~distance.isnan()).sum())]


@METRICS.register_module()
class PCK(MeasuredMetric):
    """Share of right matches, over all grid positions of the data set whose match is known.

    Keys: `pck@ALPHA` for each alpha; none where no position counts. A cell's own size sets a
    limit: a perfect match at grid size is up to 0.71 cells off, so alpha * max(h, w) should be
    at least that. A match of more than 128 x 128 positions is measured on blocks of cells
    (`coarsened`).

    Args:
        alphas: distances that are right, as shares of the longer side of the exemplar's grid.
        soft: take the mean position under the match's weights, not the heaviest position.
        options: those of mmengine's `BaseMetric` (`collect_device`, `prefix`, `collect_dir`).

    Raises:
        ConfigError: no alpha, or one that is not above 0.
    """

    def __init__(
        self, alphas: Sequence[float] = (0.05, 0.1), soft: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        if not alphas or min(alphas) <= 0:
            raise ConfigError(
                f"PCK.alphas is {list(alphas)}; allowed is a list of values > 0, such as "
                f"[0.05, 0.1]"
            )
        self.alphas = list(alphas)
        self.soft = soft

    def measure(self, samples: Sequence[Prediction]) -> list[list[int]]:
        """Counts of each sample of a batch, see `pck_counts`.

        Raises:
            DataError: a sample whose true match is not known, or whose match is not finite.
        """
        matched: dict[int, Tensor] = {}
        counts = []
        for sample in samples:
            known, match = _known(sample), coarsened(sample.match)
            if id(sample.match) not in matched:
                matched[id(sample.match)] = matched_positions(match, self.soft)
            true = true_positions(known, match.grid, match.exemplar_grid)
            found = matched[id(sample.match)][sample.index].to(true.device)
            if not found.isfinite().all():
                raise broken_match(sample.name)
            counts.append(pck_counts(found, true, match.exemplar_grid, self.alphas))
        return counts

    def values_of(self, entry: list[int]) -> dict[str, float]:
        """Shares of a sample's counts."""
        return self.reduce([entry])

    def facts_of(self, sample: Prediction) -> dict[str, str]:
        """The grids, whose longer side is the unit of the distance."""
        return {**super().facts_of(sample), **match_facts(sample)}

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        position = "mean under the weights" if self.soft else "heaviest"
        told = {**super().passport(key), "protocol": "pck-1", "matched_position": position}
        known = (self.dataset_meta or {}).get("known_match")
        return {**told, "known_match": known} if known else told

    def reduce(self, entries: list[list[int]]) -> dict[str, float]:
        """Shares of the summed counts."""
        *right, counted = torch.tensor(entries).sum(0).tolist() if entries else [0]
        if not counted:
            return {}
        return {
            f"pck@{alpha:g}": count / counted
            for alpha, count in zip(self.alphas, right, strict=True)
        }


def _known(sample: Prediction) -> Tensor:
    if sample.exemplar_positions is None:
        raise DataError(
            f"the metric PCK needs the true match, but {sample.name!r} has no exemplar_positions; "
            f"use a data set that gives them, such as dict(type='SyntheticScenes', "
            f"exemplar='warped'), or remove PCK from the evaluators"
        )
    return sample.exemplar_positions
