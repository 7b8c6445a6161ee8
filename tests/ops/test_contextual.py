from __future__ import annotations

import pytest
import torch

from benchmarks.plain.contextual import contextual_affinity as plain
from mcltoolkit.layers import unit_length
from mcltoolkit.ops import contextual_affinity


def make(batch, width, rows, columns):
    torch.manual_seed(1)
    return [unit_length(torch.randn(batch, width, count)) for count in (rows, columns)]


@pytest.mark.parametrize("sizes", [(1, 5, 1, 1), (2, 16, 33, 21), (3, 8, 20, 47)])
@pytest.mark.parametrize("bandwidth", [0.1, 0.5])
@pytest.mark.parametrize("numbers", [100, 2**22])
def test_equals_the_plain_form(sizes, bandwidth, numbers, small_blocks, compare):
    small_blocks(numbers)
    compare(
        lambda *x: contextual_affinity(*x, bandwidth),
        lambda *x: plain(*x, bandwidth),
        make(*sizes),
        2e-5 if bandwidth == 0.1 else 1e-5,
    )


@pytest.mark.parametrize("export", [False, True])
def test_gradients_are_those_of_finite_differences(export, small_blocks, monkeypatch):
    if export:
        monkeypatch.setattr("mcltoolkit.ops.contextual.exporting", lambda: True)
    small_blocks(20)
    inputs = [x.double().requires_grad_() for x in make(2, 4, 7, 9)]
    assert torch.autograd.gradcheck(contextual_affinity, inputs)


def test_ties_share_the_gradient_as_amax_has_it(small_blocks):
    source, target = make(1, 4, 9, 5)
    target = torch.cat([target, target, target[:, :, :2]], dim=2)
    grads = []
    for affinity in (contextual_affinity, plain):
        given = [x.double().requires_grad_() for x in (source, target)]
        grads.append(torch.autograd.grad(affinity(*given).sum(), given))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_twins_give_finite_values_and_gradients(small_blocks):
    source, _ = make(1, 4, 12, 5)
    source.requires_grad_()
    found = contextual_affinity(source, source.detach())
    exact = plain(source.double(), source.detach().double())
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-3)  # 1 / (0.1 * 1e-3) * eps
    (grad,) = torch.autograd.grad(found.sum(), source)
    assert grad.isfinite().all()


def test_half_precision_is_computed_in_float32_and_autocast_changes_nothing(small_blocks):
    source, target = (x.bfloat16() for x in make(2, 8, 13, 11))
    with torch.autocast("cpu", torch.bfloat16):
        found = contextual_affinity(source, target)
    assert found.dtype is torch.float32
    exact = plain(source.double(), target.double())
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


def test_no_matrix_of_all_pairs_is_made_or_saved(small_blocks, sizes_of):
    small_blocks(8 * 300, 8)
    source, target = (x.requires_grad_() for x in make(1, 4, 400, 300))
    largest, saved = sizes_of(lambda: contextual_affinity(source, target))
    assert largest <= 8 * 300
    assert saved <= 400 * 5 + 300 * 4
