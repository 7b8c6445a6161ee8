"""3 x 3 convolution with a quarter of the multiplications.

Lavin and Gray, CVPR 2016: F(4 x 4, 3 x 3). The map is cut into squares of 6 x 6 that overlap by 2,
and each gives 4 x 4 results. A square d and a kernel w are evaluated at points, where convolution
is multiplication (Toom and Cook):

    y = A^T [(G w G^T) * (B^T d B)] A,

so that the sum over channels is 36 matrix products over all squares. The gradients are the same
products with the transposed matrices. The algebra is exact. How much rounding grows depends on the
points: with 0, 1, -1, 2, -2 the error is 12 times that of the direct sum (512 channels, root mean
square), with those here 6 times, 1.5e-6 of the result.

Both axes are transformed at once, by the Kronecker product of a matrix with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

OUT, SPAN, KERNEL = 4, 6, 3
"""Sides of a square's results, of the square, and of the kernel."""
POINTS = (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(4, 3), Fraction(-4, 3))
"""Where polynomials are evaluated; infinity comes after them."""
# values in a block: 12 MB in float32, less than what the C library maps anew at each use
BLOCK = 3 * 2**20
# what transforms of inputs, results and weights cost, in the unit of `WORTH`
_COSTS = (4.0, 2.3, 19.0)
WORTH = 0.045


def pays(in_channels: int, out_channels: int, positions: int) -> bool:
    """Whether the transforms cost less than the multiplications that they spare.

    Measured on 2 cores with AVX2, forward and backward: at 64 x 64 positions 512 to 512 channels
    take 0.55 of the direct sum's time, 128 to 512 take 0.62; 256 to 256 at 32 x 32 about as long,
    64 to 64 twice as long.

    Args:
        positions: of the result of one sample, so that its numbers do not depend on its batch.
    """
    inputs, results, weights = _COSTS
    return inputs / out_channels + results / in_channels + weights / positions <= WORTH


def fits(size: Sequence[int], padding: int) -> bool:
    """Whether maps of (H, W), padded, are cut into whole squares."""
    return all(n + 2 * padding >= SPAN and (n + 2 * padding - 2) % OUT == 0 for n in size)


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, divisor: Tensor | None = None
) -> Tensor:
    """`F.conv2d(x, weight / divisor, bias, padding=padding)`, without a graph.

    Args:
        x: (B, C, H, W), see `fits`.
        weight: (K, C, 3, 3).
        bias: (K,) or None.
        padding: rows and columns of zeros on every side.
        divisor: without dimensions; None: 1.

    Returns:
        (B, K, H', W') in channels_last.
    """
    cut = _Cut.of(x, padding)
    results, kernels, _ = _transforms(x.dtype)
    kernels = kernels if divisor is None else kernels / divisor
    squares = cut.squares(x, padding)
    size = (cut.batch, len(weight), cut.rows * OUT, cut.columns * OUT)
    out = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    quads = cut.quads(_channels_last(out))
    for group, spread in _groups(weight, kernels, squares[0].shape[1]):
        for block, square in zip(cut.blocks, squares, strict=True):
            there = quads[_at(block, group)]
            found = torch.bmm(square, spread.transpose(1, 2)).flatten(1)
            found = torch.mm(results, found).view(there.shape)
            if bias is None:
                there.copy_(found)
            else:
                torch.add(found, bias[group], out=there)
    return out


def gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: int,
    for_x: bool,
    for_weight: bool,
    divisor: Tensor | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Of `convolve`, with respect to x and weight; None for what is not asked.

    Args:
        grad: (B, K, H', W').
        x: (B, C, H, W); its values are read for the weight's gradient alone.
        weight: (K, C, 3, 3).
        divisor: as in `convolve`, a constant.

    Returns:
        (B, C, H, W), a part of a map in channels_last where there is padding, and (K, C, 3, 3).
    """
    cut = _Cut.of(x, padding)
    results, kernels, _ = _transforms(x.dtype)
    kernels = kernels if divisor is None else kernels / divisor
    squares = cut.squares(x, padding) if for_weight else []
    quads = cut.quads(_channels_last(grad))
    dsquares: list[Tensor | None] = [None] * len(cut.blocks)
    dweight: Tensor | None = None
    if for_weight:
        dweight = torch.empty_like(weight, memory_format=torch.contiguous_format)
    for group, spread in _groups(weight, kernels, cut.most):
        dspread: Tensor | None = None
        for i, block in enumerate(cut.blocks):
            there = quads[_at(block, group)]
            there = torch.mm(results.t(), there.reshape(OUT * OUT, -1))
            there = there.view(SPAN * SPAN, -1, spread.shape[1])
            if for_weight:
                dspread = _plus(dspread, there.transpose(1, 2), squares[i])
            if for_x:
                dsquares[i] = _plus(dsquares[i], there, spread)
        if dweight is not None and dspread is not None:
            rows = dweight[group].view(-1, KERNEL * KERNEL)
            torch.mm(dspread.flatten(1).t(), kernels, out=rows)
    dx = cut.joined(dsquares, x, padding) if for_x else None
    return dx, dweight


class _Cut(NamedTuple):
    """How padded maps are cut into squares: the number of maps, rows and columns of squares, and
    blocks of them, (map, rows) each."""

    batch: int
    rows: int
    columns: int
    blocks: tuple[tuple[int, slice], ...]

    @classmethod
    def of(cls, x: Tensor, padding: int) -> _Cut:
        batch, channels, height, width = x.shape
        rows, columns = (height + 2 * padding - 2) // OUT, (width + 2 * padding - 2) // OUT
        parts = list(_parts(rows, BLOCK // (SPAN * SPAN * columns * channels)))
        return cls(batch, rows, columns, tuple((i, part) for i in range(batch) for part in parts))

    @property
    def most(self) -> int:
        """Squares of the largest block."""
        rows = self.blocks[0][1]
        return int(rows.stop - rows.start) * self.columns

    def squares(self, x: Tensor, padding: int) -> list[Tensor]:
        """Transformed squares (36, squares, C), by block."""
        padded = F.pad(_channels_last(x), (0, 0, padding, padding, padding, padding))
        inputs = _transforms(x.dtype)[2]
        windows = self._windows(padded)
        blocks = (windows[_at(block)] for block in self.blocks)
        return [
            torch.mm(inputs, square.reshape(SPAN * SPAN, -1)).view(SPAN * SPAN, -1, x.shape[1])
            for square in blocks
        ]

    def joined(self, squares: Sequence[Tensor | None], x: Tensor, padding: int) -> Tensor:
        """The transpose of `squares`: a map like `x`, without its padding."""
        batch, channels, height, width = x.shape
        padded = x.new_zeros(batch, height + 2 * padding, width + 2 * padding, channels)
        inputs = _transforms(x.dtype)[2]
        windows = self._windows(padded)
        for block, square in zip(self.blocks, squares, strict=True):
            assert square is not None
            there = windows[_at(block)]
            found = torch.mm(inputs.t(), square.flatten(1)).view(there.shape)
            for i in range(SPAN):
                for j in range(SPAN):  # one value of each square: those do not overlap
                    there[i, j].add_(found[i, j])
        inside = slice(padding, -padding or None)
        return padded[:, inside, inside].permute(0, 3, 1, 2)

    def _windows(self, padded: Tensor) -> Tensor:
        """(B, H, W, C) -> (6, 6, B, rows, columns, C), which overlap in memory."""
        sample, row, column, channel = padded.stride()
        size = (SPAN, SPAN, self.batch, self.rows, self.columns, padded.shape[3])
        return padded.as_strided(
            size, (row, column, sample, OUT * row, OUT * column, channel), padded.storage_offset()
        )

    def quads(self, x: Tensor) -> Tensor:
        """(B, H', W', K) -> (4, 4, B, rows, columns, K)."""
        quads = x.view(self.batch, self.rows, OUT, self.columns, OUT, x.shape[3])
        return quads.permute(2, 4, 0, 1, 3, 5)


def _at(block: tuple[int, slice], channels: slice = slice(None)) -> tuple[Any, ...]:
    """Index of a block in (..., B, rows, columns, channels)."""
    return (..., *block, slice(None), channels)


def _groups(weight: Tensor, kernels: Tensor, squares: int) -> Iterator[tuple[slice, Tensor]]:
    """Groups of output channels, and their transformed kernels (36, K', C)."""
    outs, channels = weight.shape[:2]
    taps = weight.reshape(outs, channels, KERNEL * KERNEL)
    for group in _parts(outs, BLOCK // (SPAN * SPAN * max(channels, squares))):
        spread = torch.mm(kernels, taps[group].flatten(0, 1).t())
        yield group, spread.view(SPAN * SPAN, -1, channels)


def _parts(total: int, most: int) -> Iterator[slice]:
    """`total` in parts of about one size, of `most` at most."""
    count = -(-total // max(most, 1))
    step = -(-total // count)
    for first in range(0, total, step):
        yield slice(first, min(first + step, total))


def _plus(so_far: Tensor | None, one: Tensor, other: Tensor) -> Tensor:
    """so_far + one @ other."""
    return torch.bmm(one, other) if so_far is None else so_far.baddbmm_(one, other)


def _channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), contiguous."""
    return x.permute(0, 2, 3, 1).contiguous()


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """A^T (4, 6), G (6, 3) and B^T (6, 6) in float64, exact up to a last rounding.

    Row i of G w is w at point i over the product of its distances to the others, that of B^T d the
    coefficients of the polynomial that vanishes at the others; the last row is for infinity.
    """
    rows_g = [[p**i / _over_others(k) for i in range(KERNEL)] for k, p in enumerate(POINTS)]
    rows_b = [_coefficients([q for q in POINTS if q != p]) for p in POINTS]
    columns_a = [[p**i for i in range(OUT)] for p in POINTS]
    infinity = [Fraction(0)]
    rows_g.append(infinity * (KERNEL - 1) + [Fraction(1)])
    rows_b.append(_coefficients(POINTS))
    columns_a.append(infinity * (OUT - 1) + [Fraction(1)])
    rows_b = [row + infinity * (SPAN - len(row)) for row in rows_b]
    return _tensor(columns_a).t().contiguous(), _tensor(rows_g), _tensor(rows_b)


def _over_others(k: int) -> Fraction:
    distances = Fraction(1)
    for q in (*POINTS[:k], *POINTS[k + 1 :]):
        distances *= POINTS[k] - q
    return distances


def _coefficients(roots: Sequence[Fraction]) -> list[Fraction]:
    """Of the polynomial with these roots, constant term first."""
    found = [Fraction(1)]
    for root in roots:
        higher = [Fraction(0), *found]
        found = [a - root * b for a, b in zip(higher, [*found, Fraction(0)], strict=True)]
    return found


def _tensor(rows: Sequence[Sequence[Fraction]]) -> Tensor:
    values = [[float(value) for value in row] for row in rows]
    return torch.tensor(values, dtype=torch.float64, device="cpu")


# made once and for all, whatever device or mode is set where they are used first
_TRANSFORMS = {
    dtype: tuple(torch.kron(m, m).to(dtype) for m in _matrices())
    for dtype in (torch.float32, torch.float64)
}


def _transforms(dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Both axes at once: of results (16, 36), kernels (36, 9) and inputs (36, 36)."""
    return _TRANSFORMS[dtype]
