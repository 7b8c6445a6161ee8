"""Tables of a match, against the matrix written out."""

from __future__ import annotations

import base64
import zlib
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.metrics import coarsened
from mcltoolkit.visualization import match_table as module
from mcltoolkit.visualization.match_table import match_table, match_tables


def prediction(grid=(4, 6), other=(5, 3), temperature=0.2, index=1):
    def units(count):
        return torch.nn.functional.normalize(torch.randn(2, 8, count), dim=1)

    n, m = grid[0] * grid[1], other[0] * other[1]
    match = CosineMatch(units(n), units(m), grid, other, temperature)
    return SimpleNamespace(match=match, index=index)


def matrix_of(sample):
    return sample.match.probabilities()[sample.index].double().numpy()


@pytest.mark.parametrize("at_once", [2**24, 240])
def test_small_matches_are_kept_whole(at_once, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    sample = prediction()
    matrix, table = matrix_of(sample), match_table(sample)
    assert (table.grid, table.exemplar_grid, table.block, table.cells) == ((4, 6), (5, 3), 1, 1)
    assert (table.peaks == matrix.argmax(1)).all()
    assert (table.lookers == matrix.argmax(0)).all()
    np.testing.assert_allclose(table.scales, matrix.max(1), rtol=1e-5)
    np.testing.assert_allclose((table.peak_weights / 255) ** 2, matrix.max(1), atol=0.004)
    np.testing.assert_allclose((table.looker_weights / 255) ** 2, matrix.max(0), atol=0.004)
    kept = (table.weights / 255.0) ** 2 * table.scales[:, None]
    assert np.abs(kept - matrix).max() <= matrix.max() / 255


def test_blocks_hold_means_of_rows_and_sums_of_columns_and_peaks_stay_single():
    sample = prediction((5, 4), (3, 6))
    matrix = matrix_of(sample)
    table = match_table(sample, largest=6)
    assert table.block == 2
    assert table.weights.shape == (6, 6)
    blocks = matrix.reshape(5, 4, 3, 6)
    for row in range(3):
        for column in range(2):
            mean = blocks[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean((0, 1))
            sums = [
                [mean[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].sum() for x in range(3)]
                for y in range(2)
            ]
            kept = (table.weights[row * 2 + column] / 255.0) ** 2 * table.scales[row * 2 + column]
            np.testing.assert_allclose(kept.reshape(2, 3), sums, atol=0.004)
    assert (table.peaks == matrix.argmax(1)).all()
    assert (table.lookers == matrix.argmax(0)).all()


@pytest.mark.parametrize("largest", [1024, 6])
def test_coarser_tables_come_of_the_same_reading(largest):
    sample, read = prediction((5, 7), (6, 4)), []
    matrix, real = matrix_of(sample), sample.match.probabilities
    sample.match.probabilities = lambda rows: read.append(len(rows)) or real(rows)
    tables = list(match_tables(sample, largest))
    assert sum(read) == 35
    assert tables[-1].weights.shape == (1, 1)
    for finer, coarser in pairwise(tables):
        assert coarser.block == 2 * finer.block
    for table in tables:
        b = table.block
        blocks = [np.indices(g).reshape(2, -1) // b for g in ((5, 7), (6, 4))]
        ours, theirs = (i[0] * 10 + i[1] for i in blocks)
        means = np.stack([matrix[ours == k].mean(0) for k in np.unique(ours)])
        expected = np.stack([means[:, theirs == k].sum(1) for k in np.unique(theirs)], 1)
        kept = (table.weights / 255.0) ** 2 * table.scales[:, None]
        np.testing.assert_allclose(kept, expected, atol=0.006)


def test_packed_bytes_are_the_arrays_in_order():
    table = match_table(prediction())
    raw = zlib.decompress(base64.b64decode(table.packed()))
    parts = [
        (table.scales, "<f4"), (table.peaks, "<u2"), (table.lookers, "<u2"),
        (table.weights, "u1"), (table.peak_weights, "u1"), (table.looker_weights, "u1"),
    ]  # fmt: skip
    for values, kind in parts:
        size = values.size * np.dtype(kind).itemsize
        assert (np.frombuffer(raw[:size], kind) == values.ravel()).all()
        raw = raw[size:]
    assert raw == b""


def test_a_match_too_large_to_read_whole_is_read_on_cells(monkeypatch):
    monkeypatch.setattr(
        module, "coarsened", lambda match: coarsened.coarsened(match, largest=20, measured=8)
    )
    sample = prediction((4, 6), (6, 4))
    table = match_table(sample)
    assert (table.grid, table.exemplar_grid, table.cells) == ((2, 3), (3, 2), 2)
    seen = coarsened.CoarsenedMatch(sample.match, 2).probabilities()[1].numpy()
    assert (table.peaks == seen.argmax(1)).all()
