"""Sums under a softmax to the base 2 against the plain formula."""

from __future__ import annotations

import pytest
import torch

from benchmarks.plain.softmax_sum import softmax_sum as plain
from mcltoolkit.ops import blocks
from mcltoolkit.ops.softmax_sum import softmax_sum


def _made(back: bool, batch: int = 2, rows: int = 37, columns: int = 23, channels: int = 3):
    torch.manual_seed(0)
    logits = 20 * torch.randn(batch, rows, columns, dtype=torch.double)
    values = torch.randn(batch, channels, rows if back else columns, dtype=torch.double)
    return logits.requires_grad_(), values.requires_grad_()


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("numbers", [23, 300, 2**20])
def test_equal_to_the_plain_formula(monkeypatch, back, numbers):
    monkeypatch.setitem(blocks.NUMBERS, "cpu", numbers)
    monkeypatch.setattr(blocks, "FEWEST_ROWS", 1)
    given = _made(back)
    ours, theirs = softmax_sum(*given, back), plain(*given, back)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    upstream = torch.randn_like(ours)
    for mine, yours in zip(
        torch.autograd.grad(ours, given, upstream),
        torch.autograd.grad(theirs, given, upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, yours, rtol=0, atol=1e-11)


@pytest.mark.parametrize("back", [False, True])
def test_weights_are_powers_of_two(back):
    logits = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])
    values = torch.tensor([[[3.0, 6.0]]])
    expected = [[[(4 * 6 + 3) / 5, (2 * 3 + 6) / 3]]] if back else [[[5.0, (4 * 3 + 6) / 5]]]
    torch.testing.assert_close(softmax_sum(logits, values, back), torch.tensor(expected))


@pytest.mark.parametrize("back", [False, True])
def test_huge_logits_neither_overflow_nor_lose_the_sum(back):
    logits, values = _made(back)
    logits = (logits * 1e4).detach()
    weights = softmax_sum(logits, torch.ones_like(values), back)
    torch.testing.assert_close(weights, torch.ones_like(weights))


def test_the_logits_are_the_only_matrix_that_is_kept():
    logits, values = _made(False)
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(x), x)[1], lambda x: x):
        softmax_sum(logits, values)
    large = [x for x in kept if x.numel() >= logits.numel()]
    assert [x.data_ptr() for x in large] == [logits.data_ptr()]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_values(dtype):
    logits, values = (x.detach().float() for x in _made(False))
    ours = softmax_sum(logits, values.to(dtype))
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, plain(logits, values.to(dtype).float()), rtol=1e-5, atol=1e-5)
