from __future__ import annotations

import pytest
import torch

from benchmarks.plain.info_nce import contrast_sums as plain
from mcltoolkit.ops import contrast_sums


def make(batch, count, width):
    torch.manual_seed(1)
    rows = [torch.nn.functional.normalize(torch.randn(batch, count, width), dim=2) for _ in "ab"]
    return [*rows, torch.randn(batch, count) * 5]


@pytest.mark.parametrize("sizes", [(1, 1, 3), (2, 33, 5), (3, 50, 8)])
@pytest.mark.parametrize("numbers", [100, 2**22])
def test_equals_the_plain_form(sizes, numbers, small_blocks, compare):
    small_blocks(numbers)
    compare(lambda *x: contrast_sums(*x, 14.0), lambda *x: plain(*x, 14.0), make(*sizes), 1e-5)


@pytest.mark.parametrize("export", [False, True])
def test_gradients_are_those_of_finite_differences(export, small_blocks, monkeypatch):
    if export:
        monkeypatch.setattr("mcltoolkit.ops.info_nce.exporting", lambda: True)
    small_blocks(20)
    inputs = [x.double().requires_grad_() for x in make(2, 7, 3)]
    assert torch.autograd.gradcheck(lambda *x: contrast_sums(*x, 3.0), inputs)


@pytest.mark.parametrize("own", [-1e4, 1e4])
def test_a_positive_far_from_its_row_has_finite_gradients(own, small_blocks):
    anchor, others, _ = make(1, 9, 3)
    given = [x.requires_grad_() for x in (anchor, others, torch.full((1, 9), own))]
    # the product of the pairs themselves would overflow beside their margin
    found = contrast_sums(*given, 1e3)
    exact = plain(*(x.double() for x in given), 1e3)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)
    for grad in torch.autograd.grad(found.sum(), given):
        assert grad.isfinite().all()


def test_no_matrix_of_all_pairs_is_made_or_saved(small_blocks, sizes_of):
    small_blocks(8 * 400, 8)
    given = [x.requires_grad_() for x in make(1, 400, 4)]
    largest, saved = sizes_of(lambda: contrast_sums(*given, 10.0))
    assert largest <= 8 * 400
    assert saved <= 400 * 10
