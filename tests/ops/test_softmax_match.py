from __future__ import annotations

import pytest
import torch

from benchmarks import plain
from mcltoolkit.layers import unit_length
from mcltoolkit.ops import softmax_cycle, softmax_match

SIZES = [(1, 5, 1, 1, 1), (2, 5, 33, 21, 3), (3, 8, 20, 47, 151), (1, 4, 50, 50, 200)]


def make(batch, width, rows, columns, channels, dtype=torch.float32):
    torch.manual_seed(1)
    queries = unit_length(torch.randn(batch, width, rows))
    keys = unit_length(torch.randn(batch, width, columns))
    values = torch.rand(batch, channels, columns)
    return [x.to(dtype) for x in (queries, keys, values)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize("numbers", [100, 2**22])
def test_equal_the_plain_form(size, scale, numbers, small_blocks, compare):
    small_blocks(numbers)
    channels = min(size[4], 3)
    compare(
        lambda *x: softmax_match(*x, scale), lambda *x: plain.softmax_match(*x, scale), make(*size),
        1e-5,
    )  # fmt: skip
    compare(
        lambda *x: softmax_cycle(*x, scale, channels),
        lambda *x: plain.softmax_cycle(*x, scale, channels),
        make(*size),
        1e-5,
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype, small_blocks, compare):
    inputs = make(2, 5, 33, 21, 4, dtype)
    rounding = torch.finfo(dtype).eps  # of the gradients, which have the inputs' type
    out = softmax_match(*inputs, 10.0)
    assert out.dtype is torch.float32
    exact = plain.softmax_match(*(x.double() for x in inputs), 10.0)
    assert (out - exact).abs().max() < 1e-5
    compare(lambda *x: softmax_cycle(*x, 10.0), lambda *x: plain.softmax_cycle(*x, 10.0), inputs,
            rounding)  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(dtype, small_blocks):
    inputs = [x.requires_grad_() for x in make(1, 5, 20, 21, 4)]
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype, enabled=enabled):
            out = torch.cat([x.flatten() for x in softmax_cycle(*inputs, 10.0)])
            results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_logits_beyond_the_exponentials_range(small_blocks, compare):
    queries, keys, values = make(2, 5, 33, 21, 3)
    for scale in (0.0, 3e2, 3e3):
        grads = torch.autograd.grad(
            softmax_cycle(*(x.requires_grad_() for x in (queries, keys, values)), scale)[1].sum(),
            (queries, keys, values),
        )
        assert all(grad.isfinite().all() for grad in grads)
    compare(
        lambda *x: softmax_cycle(*x, 3e2),
        lambda *x: plain.softmax_cycle(*x, 3e2),
        [x.detach().clone() for x in (queries, keys, values)],
        3e-5,  # rounding of logits of size 300
    )
    far = torch.full((1, 1, 7), 1e4)  # all logits equal and huge: the plain mean
    out = softmax_match(far, far, values[:1, :, :7], 1e3)
    torch.testing.assert_close(out, values[:1, :, :7].mean(2, keepdim=True).expand(-1, -1, 7))


def test_gradients_are_those_of_finite_differences(small_blocks):
    inputs = [x.double().requires_grad_() for x in make(2, 3, 9, 7, 3)]
    small_blocks(20)
    assert torch.autograd.gradcheck(lambda *x: softmax_match(*x, 3.0), inputs)
    assert torch.autograd.gradcheck(lambda *x: softmax_cycle(*x, 3.0, 2), inputs)


@pytest.mark.parametrize("needed", [(0,), (1,), (2,), (0, 2)])
def test_gradients_that_nobody_needs_are_not_made(needed, small_blocks):
    inputs = make(2, 5, 13, 11, 4)
    for index in needed:
        inputs[index].requires_grad_()
    wanted = [inputs[index] for index in needed]
    for ours, theirs in (
        (softmax_match, plain.softmax_match),
        (softmax_cycle, plain.softmax_cycle),
    ):
        out, exact = (f(*inputs, 10.0) for f in (ours, theirs))
        out, exact = (x[1] if isinstance(x, tuple) else x for x in (out, exact))
        found = torch.autograd.grad(out.square().sum(), wanted)
        for a, b in zip(found, torch.autograd.grad(exact.square().sum(), wanted), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cycle", [False, True])
def test_no_matrix_of_all_pairs_is_made_or_saved(cycle, small_blocks, sizes_of):
    rows, columns, width, channels = 300, 400, 4, 5
    small_blocks(8 * columns, 8)
    inputs = [x.requires_grad_() for x in make(1, width, rows, columns, channels)]
    call = softmax_cycle if cycle else softmax_match
    largest, saved = sizes_of(lambda: call(*inputs, 10.0))
    assert largest <= 8 * columns
    assert saved <= (rows + columns) * (width + 2 * channels + 2)
    largest, saved = sizes_of(lambda: plain.softmax_match(*inputs, 10.0))
    assert min(largest, saved) >= rows * columns  # what is measured is what it should be
