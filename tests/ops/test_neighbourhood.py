"""Cosines of neighbourhoods against the unfolded formula in double precision."""

from __future__ import annotations

import pytest
import torch

from benchmarks.plain import neighbourhood as plainly
from benchmarks.plain.neighbourhood import neighbourhood_cosines as plain
from mcltoolkit.ops import neighbourhood
from mcltoolkit.ops.neighbourhood import (
    neighbourhood_cosines,
    neighbourhood_cycle,
    neighbourhood_match,
)

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


@pytest.mark.parametrize(("batch", "channels", "grid", "other", "side"), SHAPES)
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_match_and_cycle_equal_the_whole_matrix(
    monkeypatch, batch, channels, grid, other, side, rows
):
    monkeypatch.setattr(neighbourhood, "BLOCK", rows * grid[1] * other[0] * other[1])
    torch.manual_seed(0)
    columns = other[0] * other[1]
    inputs = [
        torch.randn(size, dtype=torch.double, requires_grad=True)
        for size in ((batch, channels, *grid), (batch, channels, *other), (batch, 4, columns))
    ]
    found = [
        [f.neighbourhood_match(*inputs, side, 0.1), *f.neighbourhood_cycle(*inputs, side, 0.1, 3)]
        for f in (neighbourhood, plainly)
    ]
    upstream = [torch.randn_like(x) for x in found[0]]
    grads = [torch.autograd.grad(outputs, inputs, upstream) for outputs in found]
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("which", [0, 1])
def test_maps_whose_memory_lies_otherwise(which):
    maps = [torch.randn(1, 3, 4, 5, dtype=torch.double) for _ in range(2)]
    maps[which] = torch.randn(1, 3, 5, 4, dtype=torch.double).transpose(2, 3)
    values = torch.rand(1, 2, 20, dtype=torch.double)
    grads = []
    for form in (neighbourhood, plainly):
        inputs = [x.detach().requires_grad_() for x in maps]
        found = form.neighbourhood_match(*inputs, values, 3, 0.1)
        grads.append(torch.autograd.grad(found.square().sum(), inputs))
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-11)


def test_gradients_of_match_and_cycle_are_those_of_finite_differences(monkeypatch):
    monkeypatch.setattr(neighbourhood, "BLOCK", 2 * 3 * 8)
    torch.manual_seed(0)
    inputs = [
        torch.randn(size, dtype=torch.double, requires_grad=True)
        for size in ((1, 3, 4, 3), (1, 3, 2, 4), (1, 3, 8))
    ]
    assert torch.autograd.gradcheck(lambda *x: neighbourhood_match(*x, 3, 0.5), inputs)
    assert torch.autograd.gradcheck(lambda *x: neighbourhood_cycle(*x, 3, 0.5, 2), inputs)


def test_match_and_cycle_in_single_precision(monkeypatch):
    monkeypatch.setattr(neighbourhood, "BLOCK", 3 * 12 * 144)
    torch.manual_seed(0)
    q, noise = torch.randn(2, 1, 16, 12, 12).unbind(0)
    values = torch.rand(1, 5, 144)
    found = []
    for dtype, form in ((torch.float32, neighbourhood), (torch.float64, plainly)):
        here, there = (x.detach().to(dtype).requires_grad_() for x in (q, q + 0.3 * noise))
        outputs = form.neighbourhood_cycle(here, there, values.to(dtype), 3, 0.05)
        total = sum(x.square().sum() for x in outputs)
        found.append([*outputs, *torch.autograd.grad(total, (here, there))])
    for single, double in zip(*found, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("cycle", [False, True])
def test_no_matrix_of_all_pairs_is_made_or_saved(monkeypatch, cycle, sizes_of):
    monkeypatch.setattr(neighbourhood, "BLOCK", 20 * 400)
    q, k = (torch.randn(1, 4, 20, 20).requires_grad_() for _ in range(2))
    call = neighbourhood_cycle if cycle else neighbourhood_match
    largest, saved = sizes_of(lambda: call(q, k, torch.rand(1, 3, 400), 3, 0.1))
    assert largest <= 3 * 20 * 400, "a row of the map, and its neighbours"
    assert saved <= 400 * 80
    largest, saved = sizes_of(lambda: plainly.neighbourhood_match(q, k, torch.rand(1, 3, 400)))
    assert min(largest, saved) >= 400 * 400  # what is measured is what it should be
