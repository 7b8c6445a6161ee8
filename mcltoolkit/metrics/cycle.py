"""Cycle error: how far there-and-back matching ends from where it began."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.metrics.coarsened import coarsened, heaviest, stride_of
from mcltoolkit.metrics.sample_metric import SampleMetric, match_facts, measure_matches
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Match, Prediction


def cycle_error(match: Match, block: int = 512) -> Tensor:
    """Mean distance between a condition position and its image under there-and-back matching.

    There: the heaviest exemplar position of each condition position. Back: the condition position
    that weighs most in what that exemplar position is warped back from. A match of more than
    128 x 128 positions is measured on blocks of cells (`coarsened`).

    Args:
        match: of a batch.
        block: condition positions handled at a time; bounds the memory to B x block x max(N, M).

    Returns:
        (B,) in grid cells; NaN where a weight is not finite.
    """
    match = coarsened(match)
    find = getattr(match, "heaviest", None)
    there, back, finite = _heaviest(match, block) if find is None else find()
    columns = match.grid[1]
    returned = back.gather(1, there)
    started = torch.arange(there.shape[1], device=there.device)
    down = returned // columns - started // columns
    right = returned % columns - started % columns
    error = stride_of(match) * (down.square() + right.square()).float().sqrt().mean(1)
    return torch.where(finite, error, torch.nan)


def _heaviest(match: Match, block: int) -> tuple[Tensor, Tensor, Tensor]:
    """The heaviest partner of each condition position (B, N) and of each exemplar position (B, M),
    and whether all weights are finite (B,), from what every match can tell."""
    positions = match.grid[0] * match.grid[1]
    there, strongest, back, finite = [], [], [], []
    for rows in torch.arange(positions).split(block):
        weights = match.probabilities(rows)
        best, known = heaviest(weights)
        there.append(best)
        finite.append(known)
        # Warping back the indicator of a condition position gives that position's weight.
        indicator = F.one_hot(rows, positions).to(weights)
        weight, row = match.warp_back(indicator.expand(len(weights), -1, -1)).max(1)
        strongest.append(weight)
        finite.append(weight.isfinite())
        back.append(row + rows[0])
    winner = torch.stack(strongest).argmax(0, keepdim=True)
    returned = torch.stack(back).gather(0, winner)[0]
    return torch.cat(there, dim=1), returned, torch.cat(finite, dim=1).all(1)


@METRICS.register_module()
class CycleError(SampleMetric):
    """Mean cycle error over samples. Key: `cycle_error`, in grid cells; 0 is perfect."""

    protocols = {"cycle_error": "cycle-error-hard-1"}

    def facts_of(self, sample: Prediction) -> dict[str, str]:
        """The grids, in whose cells the error is told."""
        return {**super().facts_of(sample), **match_facts(sample)}

    def measure(self, samples: Sequence[Prediction]) -> list[dict[str, float]]:
        """Value of each sample of a batch."""
        return measure_matches(samples, ["cycle_error"], lambda match: [cycle_error(match)])
