"""Cosines of neighbourhoods against the unfolded formula in double precision."""

from __future__ import annotations

import pytest
import torch

from benchmarks.plain.neighbourhood import neighbourhood_cosines as plain
from mcltoolkit.ops import neighbourhood
from mcltoolkit.ops.neighbourhood import neighbourhood_cosines

SHAPES = [
    # batch, channels, grid, exemplar grid, neighbourhood
    (2, 4, (3, 5), (4, 2), 3),
    (1, 3, (1, 1), (2, 2), 3),
    (1, 2, (7, 6), (7, 6), 5),
    (1, 2, (2, 9), (9, 2), 7),
    (2, 3, (4, 4), (5, 3), 1),
]


@pytest.mark.parametrize(("batch", "channels", "grid", "other", "side"), SHAPES)
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_equal_to_the_unfolded_formula(monkeypatch, batch, channels, grid, other, side, rows):
    monkeypatch.setattr(neighbourhood, "BLOCK", rows * grid[1] * other[0] * other[1])
    torch.manual_seed(0)
    q = torch.randn(batch, channels, *grid, dtype=torch.double, requires_grad=True)
    k = torch.randn(batch, channels, *other, dtype=torch.double, requires_grad=True)
    ours, theirs = (f(q, k, side, 0.1) for f in (neighbourhood_cosines, plain))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    upstream = torch.randn_like(ours)
    for mine, yours in zip(
        torch.autograd.grad(ours, (q, k), upstream),
        torch.autograd.grad(theirs, (q, k), upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, yours, rtol=1e-10, atol=1e-11)


def test_no_less_exact_than_the_unfolded_formula_where_all_features_share_a_mean():
    torch.manual_seed(0)
    q = torch.randn(1, 64, 12, 12) + 5
    k = q + 0.3 * torch.randn_like(q)
    exact = plain(q.double(), k.double(), 3, 0.01)
    error, others = ((f(q, k, 3, 0.01) - exact).abs().max() for f in (neighbourhood_cosines, plain))
    assert error < others
    assert error < 1e-3  # of logits up to 100: five digits


def test_features_without_contrast_have_cosine_zero_and_finite_gradients():
    q = torch.zeros(1, 3, 4, 4, requires_grad=True)
    k = torch.randn(1, 3, 4, 4)
    cosines = neighbourhood_cosines(q, k)
    assert not cosines.any()
    cosines.sum().backward()
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


def test_only_one_matrix_of_all_pairs_is_kept_for_backward():
    q = torch.randn(1, 8, 24, 24, requires_grad=True)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: (kept.append(x.numel()), x)[1], lambda x: x
    ):
        neighbourhood_cosines(q, torch.randn(1, 8, 24, 24))
    assert sum(n >= 576 * 576 for n in kept) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_compared_in_float32(dtype):
    q, k = torch.randn(1, 8, 5, 5).to(dtype), torch.randn(1, 8, 5, 5).to(dtype)
    cosines = neighbourhood_cosines(q, k)
    assert cosines.dtype == torch.float32
    torch.testing.assert_close(
        cosines.double(), plain(q.double(), k.double()), rtol=1e-5, atol=1e-5
    )
