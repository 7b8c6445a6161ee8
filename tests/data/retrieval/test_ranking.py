from __future__ import annotations

import numpy as np
import pytest
import torch

from mcltoolkit.data.retrieval import CosineSimilarity, Facts, Rules, rank
from mcltoolkit.data.retrieval.ranking import NONE
from mcltoolkit.errors import ConfigError


class Recorded:
    """A similarity given as a table, which notes the blocks it is asked for."""

    def __init__(self, table):
        self.table = torch.as_tensor(table, dtype=torch.float64)
        self.shape = tuple(self.table.shape)
        self.blocks = []

    def block(self, rows, columns):
        self.blocks.append((len(rows), columns.stop - columns.start))
        return self.table[rows, columns].clone()


def facts_of(count, seed, groups=None, frames=None, copies=0.0):
    """Facts of pictures of which a share has the thumbnail of another."""
    rng = np.random.default_rng(seed)
    thumbs = rng.standard_normal((count, 64), dtype=np.float32)
    copy = np.flatnonzero(rng.random(count) < copies)
    thumbs[copy] = thumbs[0]
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True)
    group = None if groups is None else rng.integers(groups, size=count)
    frame = None if frames is None else rng.integers(frames, size=count)
    return np.arange(count), group, frame, thumbs


def brute_force(table, queries, candidates, top, threshold, gap=None, spread=False, least=None):
    """Row by row in plain Python: rank all, then pick greedily."""

    def grouped(a, i, b, j):
        if a[1] is None or a[1][i] != b[1][j]:
            return False
        return gap is None or abs(int(a[2][i]) - int(b[2][j])) <= gap

    def apart(a, i, b, j, with_groups):
        return (
            a[0][i] == b[0][j]
            or (with_groups and grouped(a, i, b, j))
            or float(a[3][i] @ b[3][j]) >= threshold
        )

    rows = []
    for i, scores in enumerate(np.round(np.asarray(table, dtype=np.float64), 6)):
        picked = []
        for j in sorted(range(len(scores)), key=lambda j: (-scores[j], j)):
            if least is not None and scores[j] < least:
                break
            if apart(queries, i, candidates, j, True):
                continue
            if any(apart(candidates, j, candidates, p, spread) for p in picked):
                continue
            picked.append(j)
            if len(picked) == top:
                break
        rows.append(picked + [NONE] * (top - len(picked)))
    return rows


@pytest.mark.parametrize(
    ("groups", "gap", "spread", "copies", "least"),
    [
        (None, None, False, 0.0, None),
        (None, None, False, 0.7, None),
        (6, None, False, 0.2, None),
        (6, None, True, 0.2, None),
        (2, 5, True, 0.3, None),
        (3, 5, False, 0.0, 0.1),
    ],
)
@pytest.mark.parametrize("blocks", [(512, 4096), (7, 11), (1, 3)])
def test_against_brute_force(groups, gap, spread, copies, least, blocks):
    rng = np.random.default_rng(5)
    # Few values, so that there are many ties; 90 candidates, more than the first pool holds.
    table = rng.integers(-10, 10, size=(23, 90)) / 20
    queries = facts_of(23, 0, groups, 20 if gap else None, copies)
    candidates = facts_of(90, 0, groups, 20 if gap else None, copies)
    rules = Rules(Facts.of(*queries), Facts.of(*candidates), 0.9, gap, spread)
    similarity = Recorded(table)
    found = rank(similarity, rules, 4, least, *blocks)
    wanted = brute_force(table, queries, candidates, 4, 0.9, gap, spread, least)
    assert found.candidates.tolist() == wanted
    for row, (numbers, scores) in enumerate(zip(found.candidates, found.scores, strict=True)):
        kept = numbers != NONE
        assert scores[kept] == pytest.approx(table[row, numbers[kept]], abs=1e-6)
        assert np.isnan(scores[~kept]).all()
    assert found.counts.tolist() == [sum(n != NONE for n in row) for row in wanted]


def test_the_cases_above_are_not_empty():
    """Copies fill pools and some queries end short: the hard paths are really walked."""
    queries, candidates = facts_of(23, 0, None, None, 0.7), facts_of(90, 0, None, None, 0.7)
    alike = candidates[3] @ candidates[3].T >= 0.9
    assert alike.sum(axis=1).max() > 36
    scores = np.tile(alike[0].astype(float), (23, 1))
    rules = Rules(Facts.of(*queries), Facts.of(*candidates), 0.9)
    similarity = Recorded(scores)
    # All that score 1 are copies of one picture: one of them is taken, then the pool has to grow.
    own = np.flatnonzero(queries[3] @ candidates[3][0] < 0.9)
    assert len(own) > 3
    found = rank(similarity, rules, 3, None, 512, 4096)
    assert len(similarity.blocks) > 1
    assert (found.scores[own] == [1, 0, 0]).all()


def test_no_block_is_larger_than_asked_for():
    similarity = Recorded(np.random.default_rng(0).random((57, 101)))
    facts = [Facts.of(np.arange(n) + 1000 * i) for i, n in enumerate((57, 101))]
    rank(similarity, Rules(*facts), 3, None, 10, 20)
    assert max(rows for rows, _ in similarity.blocks) == 10
    assert max(columns for _, columns in similarity.blocks) == 20
    assert len(similarity.blocks) == 6 * 6
    assert sum(rows * columns for rows, columns in similarity.blocks) == 57 * 101


def test_memory_follows_the_blocks_not_the_pictures(monkeypatch):
    """The largest tensor made by any operation stays the size of a block."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, function, types, arguments=(), kwargs=None):
            result = function(*arguments, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(tensor, torch.Tensor):
                    self.size = max(self.size, tensor.numel())
            return result

    def largest(count):
        rng = np.random.default_rng(0)
        features = rng.standard_normal((count, 8), dtype=np.float32)
        thumbs = rng.standard_normal((count, 8), dtype=np.float32) / 8
        facts = Facts.of(np.arange(count), np.arange(count), None, thumbs)
        similarity, rules = CosineSimilarity(features, features), Rules(facts, facts)
        with Largest() as seen:
            rank(similarity, rules, 1, None, 64, 128)
        return seen.size

    assert largest(300) <= 64 * 128
    # Only what is linear in the pictures (views of features) may grow.
    assert largest(900) <= max(64 * 128, 900 * 8)


def test_cosine_against_numpy_and_equal_order_for_all_blocks():
    rng = np.random.default_rng(1)
    features = rng.standard_normal((60, 12)).astype(np.float32)
    features[30:40] = 4 * features[:10]  # the same directions: exact ties
    facts = Facts.of(np.arange(60))
    unit = features.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    plain = (np.arange(60), None, None, np.zeros((60, 1)))
    wanted = brute_force(unit @ unit.T, plain, plain, 5, 0.9)
    for blocks in ((64, 64), (9, 7), (60, 1)):
        found = rank(CosineSimilarity(features, features), Rules(facts, facts), 5, None, *blocks)
        assert found.candidates.tolist() == wanted


def test_negative_scores_and_indices_survive_the_keys():
    found = rank(
        Recorded([[-1.0, -0.5, -0.25, -0.75]]),
        Rules(Facts.of([9]), Facts.of([0, 1, 2, 3])), 4,
    )  # fmt: skip
    assert found.candidates.tolist() == [[2, 1, 3, 0]]
    assert found.scores.tolist() == [[-0.25, -0.5, -0.75, -1.0]]


@pytest.mark.parametrize("blocks", [(0, 5, 5), (1, 0, 5), (1, 5, 0)])
def test_sizes_below_one_are_refused(blocks):
    top, rows, columns = blocks
    rules = Rules(Facts.of([0]), Facts.of([1]))
    with pytest.raises(ConfigError, match="is 0; allowed are values >= 1"):
        rank(Recorded([[1.0]]), rules, top, None, rows, columns)
