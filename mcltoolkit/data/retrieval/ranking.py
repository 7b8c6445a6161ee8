"""The best candidates of each query, in bounded memory.

Queries and candidates are compared block by block. Of each block row only the best few stay, so
that memory is O(query block x (candidate block + pool)), whatever the number of pictures.

Scores are rounded to six decimals, and equal ones go by the candidate's number. Together with sums
that are exact (see `similarity`) the result does not depend on block sizes or threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mcltoolkit.data.retrieval.rules import Rules
from mcltoolkit.data.retrieval.similarity import Similarity
from mcltoolkit.errors import ConfigError

DECIMALS = 6
NONE = -1
SPARE = 32  # pool places beyond `top`, for candidates that resemble a better one
_SCALE = 10**DECIMALS
_BASE = 2**32  # a key is score * _BASE + (number from the end): one integer orders both
_EXCLUDED = torch.iinfo(torch.int64).min


@dataclass(frozen=True)
class Ranking:
    """The exemplars of Q queries, best first.

    Attributes:
        candidates: (Q, top) int64, `NONE` where there are fewer.
        scores: (Q, top) float64, rounded; NaN where there are fewer.
    """

    candidates: np.ndarray
    scores: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """(Q,) number of exemplars of each query."""
        return (self.candidates != NONE).sum(axis=1)


def rank(
    similarity: Similarity,
    rules: Rules,
    top: int,
    min_score: float | None = None,
    query_block: int = 512,
    candidate_block: int = 4096,
    title: str = "ranking",
) -> Ranking:
    """For each query the best `top` candidates that the rules allow.

    Candidates are taken greedily, best first; one that clashes with a picked one is skipped.

    Args:
        similarity: scores between Q queries and N candidates.
        top: exemplars of each query, at least 1.
        min_score: candidates that score less are left out.
        query_block, candidate_block: pictures compared at a time.
        title: words before the progress bar.

    Raises:
        ConfigError: `top` or a block size below 1.
    """
    for name, value in {
        "top": top, "query_block": query_block, "candidate_block": candidate_block,
    }.items():  # fmt: skip
        if value < 1:
            raise ConfigError(f"{name} is {value}; allowed are values >= 1")
    queries, candidates = similarity.shape
    picks = np.full((queries, top), NONE, dtype=np.int64)
    scores = np.full((queries, top), np.nan)

    def pool(rows: Tensor, size: int) -> Tensor:
        return _pool(similarity, rules, rows, size, min_score, candidate_block)

    for start in _track(range(0, queries, query_block), title):
        rows = torch.arange(start, min(start + query_block, queries))
        for row, found in _pick(pool, rules, rows, top, candidates).items():
            picks[row, : len(found)] = [number for number, _ in found]
            scores[row, : len(found)] = [score for _, score in found]
    return Ranking(picks, scores)


def _pick(
    pool: Callable[[Tensor, int], Tensor], rules: Rules, rows: Tensor, top: int, candidates: int
) -> dict[int, list[tuple[int, float]]]:
    """Greedy choice from a pool; rows that their pool leaves short get a larger one."""
    done: dict[int, list[tuple[int, float]]] = {}
    size = min(top + SPARE, candidates)
    while len(rows):
        short = []
        for row, keys in zip(rows.tolist(), pool(rows, size).numpy(), strict=True):
            keys = keys[keys != _EXCLUDED]
            found: list[tuple[int, float]] = []
            for key in keys.tolist():
                number = _BASE - 1 - key % _BASE
                if not rules.clashes(number, [picked for picked, _ in found]):
                    found.append((number, key // _BASE / _SCALE))
                if len(found) == top:
                    break
            if len(found) < top and len(keys) == size < candidates:
                short.append(row)
            else:
                done[row] = found
        rows, size = torch.tensor(short, dtype=torch.int64), min(4 * size, candidates)
    return done


def _pool(
    similarity: Similarity,
    rules: Rules,
    rows: Tensor,
    size: int,
    min_score: float | None,
    candidate_block: int,
) -> Tensor:
    """(len(rows), size) keys of the best allowed candidates, best first."""
    best = torch.full((len(rows), size), _EXCLUDED)
    for start in range(0, similarity.shape[1], candidate_block):
        columns = slice(start, min(start + candidate_block, similarity.shape[1]))
        values = similarity.block(rows, columns).mul_(_SCALE).round_().to(torch.int64)
        keys = values * _BASE + (_BASE - 1 - torch.arange(columns.start, columns.stop))
        keys.masked_fill_(rules.excluded(rows, columns), _EXCLUDED)
        if min_score is not None:
            keys.masked_fill_(values < round(min_score * _SCALE), _EXCLUDED)
        keys = keys.topk(min(size, keys.shape[1]), dim=1).values
        best = torch.cat([best, keys], dim=1).topk(size, dim=1).values
    return best


def _track(items: range, title: str) -> Iterable[int]:
    return track(items, title, console=Console(stderr=True))
