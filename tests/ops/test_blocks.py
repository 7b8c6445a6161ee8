from __future__ import annotations

import pytest
import torch

from mcltoolkit.ops.blocks import FEWEST_ROWS, Buffer, blocks

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize(
    ("batch", "rows", "columns"),
    [(1, 1, 1), (3, 40, 30), (2, 4096, 4096), (5, 1000, 3001), (1, 129, 10**6), (0, 5, 5)],
)
def test_every_row_of_every_sample_is_in_one_block(batch, rows, columns, device):
    seen = torch.zeros(batch, rows, dtype=torch.int)
    for some, part in blocks(batch, rows, columns, device):
        seen[some, part] += 1
        height = part.stop - part.start
        assert (some.stop - some.start) * height * columns <= 2**23 or height <= FEWEST_ROWS
    assert (seen == 1).all()


def test_a_buffer_is_used_again():
    buffer = Buffer(torch.zeros(1))
    first = buffer.of(4, 5)
    assert buffer.of(2, 3).data_ptr() == first.data_ptr()
    assert buffer.of(6, 7).shape == (6, 7)
    assert Buffer(torch.zeros(1), torch.bool).of(2).dtype is torch.bool
