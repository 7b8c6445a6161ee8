from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from mcltoolkit.data.retrieval.layout import (
    LayoutSimilarity,
    label_layout,
    minimum_sums,
    stack_layouts,
)
from mcltoolkit.errors import ConfigError, DataError


def plain_similarity(a, b, grid, ignored, share):
    """The definition, pixel by pixel."""

    def counted(labels):
        total, cells = Counter(), Counter()
        sizes = Counter()
        for y, x in np.ndindex(*labels.shape):
            cell = (y * grid // labels.shape[0], x * grid // labels.shape[1])
            sizes[cell] += 1
            if labels[y, x] not in ignored:
                total[labels[y, x]] += 1
                cells[cell, labels[y, x]] += 1
        known = sum(total.values())
        return (
            {k: v / known for k, v in total.items()},
            {k: v / sizes[k[0]] for k, v in cells.items()},
        )

    (h, c), (h2, c2) = counted(a), counted(b)
    both = sum(min(h.get(k, 0), h2.get(k, 0)) for k in {*h, *h2})
    keys = {*c, *c2}
    smaller = sum(min(c.get(k, 0), c2.get(k, 0)) for k in keys)
    larger = sum(max(c.get(k, 0), c2.get(k, 0)) for k in keys)
    return share * both + (1 - share) * smaller / larger


def label_maps(count, top, seed):
    """Blocky maps of odd sizes, some with label 255."""
    rng = np.random.default_rng(seed)
    sizes = [(13, 17), (9, 9), (20, 11), (16, 16)]
    maps = []
    for number in range(count):
        height, width = sizes[number % len(sizes)]
        blocks = rng.integers(top, size=(height // 4 + 1, width // 4 + 1))
        labels = blocks.repeat(4, 0).repeat(4, 1)[:height, :width]
        labels[rng.random(labels.shape) < 0.1] = 255
        maps.append(labels.astype(np.uint8))
    return maps


@pytest.mark.parametrize(("grid", "share"), [(1, 0.5), (4, 0.5), (8, 0.2)])
def test_similarity_is_the_plain_formula(grid, share):
    """Also where the two sides show different classes, so that their arrays differ in width."""
    queries, candidates = label_maps(3, 4, 0), [m + 2 for m in label_maps(5, 3, 1)]
    candidates = [np.where(m < 200, m, 255) for m in candidates]
    sides = [
        stack_layouts([label_layout(m, grid, [255, 0]) for m in side])
        for side in (queries, candidates)
    ]
    similarity = LayoutSimilarity(*sides, share)
    assert similarity.shape == (3, 5)
    found = torch.cat(
        [similarity.block(torch.tensor([0, 2]), slice(a, a + 2)) for a in range(0, 5, 2)], dim=1
    )
    wanted = [
        [plain_similarity(queries[i], m, grid, [255, 0], share) for m in candidates] for i in (0, 2)
    ]
    assert found.tolist() == [pytest.approx(row, abs=1e-6) for row in wanted]


def test_equal_layouts_score_one_and_foreign_ones_zero():
    maps = label_maps(3, 4, 2)
    foreign = [np.where(m < 200, m + 10, 255) for m in maps]
    arrays = stack_layouts([label_layout(m, 4, [255]) for m in maps + foreign])
    scores = LayoutSimilarity(arrays, arrays).block(torch.arange(6), slice(0, 6))
    assert scores.diagonal().tolist() == pytest.approx([1] * 6)
    assert scores[:3, 3:].abs().max() == 0
    torch.testing.assert_close(scores, scores.T, rtol=0, atol=1e-6)


def test_minimum_sums_skip_nothing_that_counts():
    rng = np.random.default_rng(3)
    a = rng.random((7, 40)) * (rng.random((7, 40)) < 0.3)
    b = rng.random((9, 40)) * (rng.random((9, 40)) < 0.3)
    a[2] = 0
    plain = np.minimum(a[:, None], b[None]).sum(-1)
    assert minimum_sums(torch.tensor(a), torch.tensor(b)).numpy() == pytest.approx(plain)


def test_maps_that_have_no_layout():
    with pytest.raises(DataError, match=r"6x30 pixels are fewer than the 8x8 cells.*--grid"):
        label_layout(np.zeros((6, 30), np.uint8), 8)
    with pytest.raises(DataError, match=r"every pixel has an ignored label \(255\)"):
        label_layout(np.full((16, 16), 255, np.uint8), 8, [255])
    many = [label_layout(np.arange(n, n + 900).reshape(30, 30), 1) for n in (0, 900)]
    with pytest.raises(DataError, match=r"1800 different labels up to 1799; allowed are 1024"):
        stack_layouts(many)


def test_settings_that_do_not_fit():
    maps = label_maps(2, 3, 4)
    coarse, fine = (stack_layouts([label_layout(m, g) for m in maps]) for g in (2, 4))
    with pytest.raises(ConfigError, match="different grids"):
        LayoutSimilarity(coarse, fine)
