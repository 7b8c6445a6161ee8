"""Similarity of pictures by blocks: what a ranking asks for, never the whole table at once.

A score must not depend on the block it was computed in, or equal candidates would change places.
So the vectors are rounded to multiples of 2^-26: all partial sums of a product of two such unit
vectors are multiples of 2^-52 up to 1, which float64 adds without any rounding, in whatever order.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import DataError

_STEPS = 2.0**26


class Similarity(Protocol):
    """Scores between Q queries and N candidates, asked for block by block."""

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, N)."""

    def block(self, rows: Tensor, columns: slice) -> Tensor:
        """Scores (len(rows), n) float64 of the queries `rows` against a slice of candidates."""


class CosineSimilarity:
    """Cosine of feature vectors, in [-1, 1]; a vector of zeros has cosine 0 with everything.

    Args:
        queries: (Q, D).
        candidates: (N, D); the same array where pictures look for exemplars among themselves.

    Raises:
        DataError: the widths differ, or a value is not finite.
    """

    def __init__(self, queries: np.ndarray, candidates: np.ndarray) -> None:
        if queries.ndim != 2 or candidates.ndim != 2 or queries.shape[1] != candidates.shape[1]:
            raise DataError(
                f"features of conditions have shape {queries.shape}, those of candidates "
                f"{candidates.shape}; both must be (pictures, width) with one width: compute both "
                f"with the same features and weights"
            )
        self._queries = unit_rows(_finite(queries, "conditions"))
        self._candidates = self._queries
        if candidates is not queries:
            self._candidates = unit_rows(_finite(candidates, "candidates"))

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, N)."""
        return len(self._queries), len(self._candidates)

    def block(self, rows: Tensor, columns: slice) -> Tensor:
        """See `Similarity`."""
        return self._queries[rows] @ self._candidates[columns].T


def unit_rows(vectors: np.ndarray) -> Tensor:
    """(N, D) -> (N, D) float64 of unit length, in steps of 2^-26; rows of zeros stay zeros."""
    unit = F.normalize(torch.from_numpy(np.asarray(vectors, dtype=np.float64)), dim=1)
    return unit.mul_(_STEPS).round_().div_(_STEPS)


def _finite(features: np.ndarray, what: str) -> np.ndarray:
    broken = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if broken.size:
        raise DataError(
            f"features of {broken.size} of {len(features)} {what} are not finite (first: number "
            f"{broken[0]}, from 0); check the weights"
        )
    return features
