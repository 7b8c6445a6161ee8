"""Which candidates a condition may not have: itself, near-duplicates, pictures of its own group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from mcltoolkit.data.near_duplicates import ROUNDING
from mcltoolkit.data.retrieval.similarity import unit_rows
from mcltoolkit.errors import ConfigError


@dataclass(frozen=True)
class Facts:
    """What the rules know of N pictures; what is None is not compared.

    Attributes:
        files: (N,) int64, equal where two pictures are one file.
        groups: (N,) int64, equal where two pictures belong together.
        frames: (N,) int64, place in the group.
        thumbnails: (N, T) float64 from `unit_rows`, see `data.near_duplicates`.
    """

    files: Tensor
    groups: Tensor | None = None
    frames: Tensor | None = None
    thumbnails: Tensor | None = None

    @classmethod
    def of(
        cls,
        files: Sequence[int] | np.ndarray,
        groups: Sequence[int] | None = None,
        frames: Sequence[int] | None = None,
        thumbnails: np.ndarray | None = None,
    ) -> Facts:
        """The same from sequences and arrays, thumbnails brought to unit length."""
        return cls(
            torch.as_tensor(files, dtype=torch.int64),
            None if groups is None else torch.as_tensor(groups, dtype=torch.int64),
            None if frames is None else torch.as_tensor(frames, dtype=torch.int64),
            None if thumbnails is None else unit_rows(thumbnails),
        )

    def rows(self, at: Tensor | slice) -> Facts:
        """The facts of some pictures."""
        return Facts(
            self.files[at],
            None if self.groups is None else self.groups[at],
            None if self.frames is None else self.frames[at],
            None if self.thumbnails is None else self.thumbnails[at],
        )


@dataclass(frozen=True)
class Rules:
    """Excludes pairs of a condition and a candidate, and candidates that picked ones resemble.

    Args:
        queries, candidates: facts of both sides.
        duplicates: cosine of thumbnails from which two pictures are near-duplicates.
        gap: None keeps all pictures of a group apart; otherwise only those whose frames differ by
            `gap` or less.
        spread: the group rule holds among the exemplars of one condition too.

    Raises:
        ConfigError: a threshold or gap outside its range.
    """

    queries: Facts
    candidates: Facts
    duplicates: float = 0.9
    gap: int | None = None
    spread: bool = False
    _no_groups: Facts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_ranges(self.duplicates, self.gap)
        object.__setattr__(self, "_no_groups", replace(self.candidates, groups=None))

    def excluded(self, rows: Tensor, columns: slice) -> Tensor:
        """(len(rows), n) bool: the queries `rows` may not have these candidates."""
        return self._apart(self.queries.rows(rows), self.candidates.rows(columns))

    def clashes(self, candidate: int, picked: Sequence[int]) -> bool:
        """Whether a candidate is too like one that is picked already."""
        if not picked:
            return False
        known = self.candidates if self.spread else self._no_groups
        one = known.rows(torch.tensor([candidate]))
        return bool(self._apart(one, known.rows(torch.tensor(picked))).any())

    def _apart(self, a: Facts, b: Facts) -> Tensor:
        apart = a.files[:, None] == b.files
        if a.groups is not None and b.groups is not None:
            same = a.groups[:, None] == b.groups
            if self.gap is not None and a.frames is not None and b.frames is not None:
                same &= (a.frames[:, None] - b.frames).abs() <= self.gap
            apart |= same
        if a.thumbnails is not None and b.thumbnails is not None:
            apart |= a.thumbnails @ b.thumbnails.T >= self.duplicates - ROUNDING
        return apart


def check_ranges(duplicates: float, gap: int | None) -> None:
    """See that the settings of the rules lie in their ranges.

    Raises:
        ConfigError: one does not.
    """
    if not 0 < duplicates <= 1:
        raise ConfigError(
            f"--duplicates is {duplicates}; allowed are values above 0 up to 1, or 'off'"
        )
    if gap is not None and gap < 0:
        raise ConfigError(f"--group-gap is {gap}; allowed are values >= 0")
