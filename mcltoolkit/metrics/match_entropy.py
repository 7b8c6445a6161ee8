"""How sharp a match is and how much of the exemplar it uses; neither needs any labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mcltoolkit.metrics.coarsened import coarsened, heaviest
from mcltoolkit.metrics.sample_metric import SampleMetric, match_facts, measure_matches
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Match, Prediction


def match_entropy(match: Match, block: int = 512) -> tuple[Tensor, Tensor]:
    """Entropy and coverage of a match; one of more than 128 x 128 positions is measured on blocks
    of cells (`coarsened`).

    Args:
        match: of a batch.
        block: condition positions handled at a time; bounds the memory to B x block x M.

    Returns:
        Mean entropy of the rows over log M, (B,) in [0, 1]: 0 where each position copies one
        exemplar position, 1 where it averages all. Coverage, (B,) in (0, 1]: the share of
        exemplar positions that are the heaviest one of some condition position. Both are NaN where
        a weight is not finite.
    """
    match = coarsened(match)
    positions = match.grid[0] * match.grid[1]
    candidates = match.exemplar_grid[0] * match.exemplar_grid[1]
    entropies, best, finite = [], [], []
    for rows in torch.arange(positions).split(block):
        weights = match.probabilities(rows)
        entropies.append(torch.special.entr(weights).sum(2))
        places, known = heaviest(weights)
        best.append(places)
        finite.append(known)
    entropy = torch.cat(entropies, dim=1).mean(1) / max(math.log(candidates), 1e-12)
    chosen = torch.cat(best, dim=1)
    used = entropy.new_zeros(len(chosen), candidates).scatter_(1, chosen, 1.0)
    whole = torch.cat(finite, dim=1).all(1)
    return torch.where(whole, entropy, torch.nan), torch.where(whole, used.mean(1), torch.nan)


@METRICS.register_module()
class MatchEntropy(SampleMetric):
    """Means over samples of `match_entropy` and `match_coverage`; see the function."""

    protocols = {
        "match_entropy": "match-entropy-normalised-1",
        "match_coverage": "match-coverage-1",
    }

    def facts_of(self, sample: Prediction) -> dict[str, str]:
        """The grids, on whose size both values depend."""
        return {**super().facts_of(sample), **match_facts(sample)}

    def measure(self, samples: Sequence[Prediction]) -> list[dict[str, float]]:
        """Values of each sample of a batch."""
        return measure_matches(samples, ["match_entropy", "match_coverage"], match_entropy)
