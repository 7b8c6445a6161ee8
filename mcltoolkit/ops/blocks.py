"""What the functions that work in blocks of rows share: the blocks, their buffers, the exponential.

A block is the part of an N x M matrix that exists at a time. On a CPU it should stay in the last
cache and yet feed the matrix product with enough rows; a GPU wants few, large launches.

Exponentials are taken to the base 2: the factor log2(e) goes into the scale of the product, which
costs nothing. On CPUs `exp2` was measured three times as fast as `exp`, and up to a hundred times
where results are denormal, as most weights of a sharp softmax are. Some processors (Intel's) take
a hundred times as long for products of denormal numbers, too, so such weights count as 0 there, see
`powers_`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

LOG2E = math.log2(math.e)
LN2 = math.log(2)
# Numbers in one buffer. CPU: 16 MB in float32. Others: 32 MB, some 4 GFLOP at 256 channels.
NUMBERS = {"cpu": 2**22}
NUMBERS_ELSEWHERE = 2**23
# Fewer rows would make the products slow; more gain nothing.
FEWEST_ROWS, MOST_ROWS = 128, 1024


def blocks(
    batch: int, rows: int, columns: int, device: torch.device
) -> Iterator[tuple[slice, slice]]:
    """Slices of samples and of rows that cover `batch` matrices of `rows` x `columns` in order.

    Several samples go together where their matrices are small, else each is cut into rows. What is
    cut where depends on the sizes alone, so that results are reproducible.
    """
    numbers = NUMBERS.get(device.type, NUMBERS_ELSEWHERE)
    samples, height = numbers // max(rows * columns, 1), rows
    if samples < 1:
        most = MOST_ROWS if device.type == "cpu" else numbers
        height = min(max(numbers // columns, FEWEST_ROWS), most, rows)
        # parts of nearly one size, rather than a small last one
        height = -(-rows // -(-rows // height))
    samples = min(max(samples, 1), max(batch, 1))
    for first in range(0, batch, samples):
        for top in range(0, rows, height):
            yield slice(first, min(first + samples, batch)), slice(top, min(top + height, rows))


class Buffer:
    """Memory that each block uses again: a fresh tensor a block would be cleared by the system.

    Args:
        like: gives precision and device.
        dtype: another precision.
    """

    def __init__(self, like: Tensor, dtype: torch.dtype | None = None) -> None:
        self._numbers = like.new_empty(0, dtype=dtype)

    def of(self, *shape: int) -> Tensor:
        """A contiguous tensor of that shape with any content, until the next call."""
        count = math.prod(shape)
        if self._numbers.numel() < count:
            self._numbers = self._numbers.new_empty(count)
        return self._numbers[:count].view(shape)


def powers_(exponents: Tensor) -> Tensor:
    """2^x in place, for weights of which one is about 1.

    On CPUs 0 below the square root of the smallest normal number (x < -63 in float32): beside 1
    such a weight is nothing that the precision could hold, and its products may be denormal.
    """
    if exponents.device.type == "cpu":
        least = math.log2(torch.finfo(exponents.dtype).tiny) / 2
        torch.threshold_(exponents, least, -math.inf)  # NaN stays
    return exponents.exp2_()


def exporting() -> bool:
    """Whether a graph is being captured for export, in which sizes may be symbols and loops over
    blocks would fix them: functions then give their dense formula."""
    found = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return bool(found())
