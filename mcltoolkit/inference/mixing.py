"""Several exemplars for one condition: each is matched on its own, then what it gives is mixed.

What the generator is given (`guidance`, or the warped exemplar) is the sum of the exemplars' own,
weighted by one number for each exemplar or by one for each pixel, as for exemplars that are chosen
by region. The matches are mixed alike: as one match with all exemplars, which lie side by side.
This toolkit's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.models.translator import release
from mcltoolkit.structures import Alignment, ExemplarSide, Match

TINY = 1e-12


class MixedMatch:
    """The matches of one condition with K exemplars of one size, as a match with their row.

    Args:
        matches: K matches of the same two grids (h, w) and (h', w').
        weights: K of (B, 1, N); over K they sum to 1 at each condition position.

    Attributes:
        exemplar_grid: (h', K * w'), the exemplars side by side in the order given.
    """

    def __init__(self, matches: Sequence[Match], weights: Sequence[Tensor]) -> None:
        self.matches = list(matches)
        self.weights = list(weights)
        self.grid = matches[0].grid
        rows, columns = matches[0].exemplar_grid
        self.exemplar_grid = (rows, len(matches) * columns)

    def warp(self, values: Tensor) -> Tensor:
        """Exemplar values (B, C, M) seen from the condition: (B, C, N)."""
        parts = [
            match.warp(part) * weight
            for match, part, weight in zip(
                self.matches, self._split(values), self.weights, strict=True
            )
        ]
        return torch.stack(parts).sum(0)

    def warp_back(self, values: Tensor) -> Tensor:
        """Condition values (B, C, N) seen from the exemplars: (B, C, M).

        An exemplar position sees each condition position as far as this takes its exemplar; 0 where
        there is none that does.
        """
        return self._join(
            [
                match.warp_back(values * weight) / match.warp_back(weight).clamp_min(TINY)
                for match, weight in zip(self.matches, self.weights, strict=True)
            ]
        )

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        """(B, R, M): the exemplars' own weights, times those of the exemplars."""
        parts = []
        for match, weight in zip(self.matches, self.weights, strict=True):
            here = weight if rows is None else weight[:, :, rows.to(weight.device)]
            parts.append(match.probabilities(rows) * here.transpose(1, 2))
        return self._join(parts)

    def release(self) -> None:
        """Forget what the matches keep."""
        for match in self.matches:
            release(match)

    def _split(self, values: Tensor) -> list[Tensor]:
        count = len(self.matches)
        rows, columns = self.exemplar_grid
        apart = values.unflatten(2, (rows, count, columns // count))
        return [part.flatten(2) for part in apart.unbind(3)]

    def _join(self, parts: Sequence[Tensor]) -> Tensor:
        rows = self.exemplar_grid[0]
        return torch.cat([part.unflatten(2, (rows, -1)) for part in parts], dim=3).flatten(2)


def mix(alignments: Sequence[Alignment], weights: Sequence[Tensor]) -> Alignment:
    """One alignment of several of the same condition.

    Where an exemplar's weight is 1 and the others' 0, it is that exemplar's own, bit for bit.

    Args:
        alignments: K, of exemplars of one size.
        weights: K of (B, 1, H, W); over K they sum to 1 at each pixel.
    """
    first = alignments[0]
    cells = [F.adaptive_avg_pool2d(weight, first.match.grid).flatten(2) for weight in weights]
    guidance = None
    if first.guidance is not None:
        guidance = _weighted([_guidance(a) for a in alignments], weights)
    return Alignment(
        MixedMatch([a.match for a in alignments], cells),
        _weighted([a.warped for a in alignments], weights),
        guidance=guidance,
    )


def side_by_side(sides: Sequence[ExemplarSide]) -> ExemplarSide:
    """The exemplars' images, labels and conditions in a row, as `MixedMatch` places them."""

    def row(name: str) -> Tensor | None:
        values = [getattr(side, name) for side in sides]
        return None if any(v is None for v in values) else torch.cat(values, dim=-1)

    image = row("image")
    assert image is not None
    return ExemplarSide(image, row("labels"), row("condition"))


def region_weights(
    labels: Tensor, regions: Sequence[int], shares: Sequence[float]
) -> tuple[list[Tensor], list[Tensor]]:
    """How much each exemplar counts at each pixel, where classes have exemplars of their own.

    Args:
        labels: (B, H, W) of the condition.
        regions: classes with an exemplar of their own.
        shares: of the exemplars for all other classes.

    Returns:
        (B, 1, H, W) for each of `shares`, and for each of `regions`: 1 in it and 0 elsewhere.
    """
    masks = [(labels == region).unsqueeze(1).float() for region in regions]
    rest = 1 - torch.stack(masks).sum(0) if masks else torch.ones_like(labels[:, None]).float()
    return [share * rest for share in shares], masks


def _guidance(alignment: Alignment) -> Tensor:
    assert alignment.guidance is not None, "alignments of one module"
    return alignment.guidance


def _weighted(values: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    total = values[0] * weights[0].to(values[0].dtype)
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total = total + value * weight.to(value.dtype)
    return total
