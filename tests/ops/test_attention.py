from __future__ import annotations

import sys

import pytest
import torch

from benchmarks.plain.attention import attention as plain
from mcltoolkit.ops import attention, blocks


@pytest.mark.parametrize("sizes", [(2, 2, 8, 30, 9), (1, 6, 3, 17, 40)])
@pytest.mark.parametrize("export", [False, True])
def test_equals_the_plain_form(sizes, export, small_blocks, compare, monkeypatch):
    if export:
        module = sys.modules["mcltoolkit.ops.attention"]  # the package's attribute is the function
        monkeypatch.setattr(module, "exporting", lambda: True)
    batch, narrow, wide, rows, columns = sizes
    inputs = [
        torch.randn(batch, narrow, rows),
        torch.randn(batch, narrow, columns),
        torch.randn(batch, wide, columns),
    ]
    compare(lambda *x: attention(*x, 0.7), lambda *x: plain(*x, 0.7), inputs, 1e-5)


def test_no_matrix_of_all_pairs_is_made_or_saved(small_blocks, sizes_of):
    small_blocks(8 * 300, 8)
    inputs = [torch.randn(1, c, n, requires_grad=True) for c, n in ((2, 400), (2, 300), (8, 300))]
    largest, saved = sizes_of(lambda: attention(*inputs))
    assert largest <= 8 * 400
    assert saved <= 400 * (2 + 8 + 1) + 300 * (2 + 8)
    assert not blocks.exporting()
