from __future__ import annotations

import pytest
import torch

from mcltoolkit import ops
from mcltoolkit.ops.blocks import FEWEST_ROWS, Buffer, blocks, powers_

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


@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, -63), (torch.float64, -511)])
def test_powers_are_those_of_two_and_never_denormal(dtype, least):
    exponents = torch.tensor(
        [0.5, 0, -1, least + 0.5, least - 0.5, 2.1 * least, -torch.inf, torch.nan]
    )
    exponents = exponents.to(dtype)
    powers = powers_(exponents.clone())
    torch.testing.assert_close(powers[:4], 2.0 ** exponents[:4])
    assert (powers[4:7] == 0).all()
    assert powers[7].isnan()
    products = powers[:4, None] * powers[:4]
    assert (products >= torch.finfo(dtype).tiny).all()


def test_a_sharp_match_has_no_denormal_weights_and_stays_exact():
    """At temperature 0.01 cosines of 0 beside one of 1 weigh e^-100, which is denormal."""
    queries = torch.eye(40)[None].requires_grad_()
    keys = torch.eye(40)[None, :, torch.randperm(40)].requires_grad_()
    values = torch.randn(1, 3, 40)
    out = ops.softmax_match(queries, keys, values, 100.0)
    found = torch.autograd.grad(out.square().sum(), (queries, keys))
    wide = [x.detach().double().requires_grad_() for x in (queries, keys)]
    weights = ((wide[0] * 100).mT @ wide[1]).softmax(2)
    assert 0 < weights.min() < torch.finfo(torch.float32).tiny
    expected = values.double() @ weights.mT
    wanted = torch.autograd.grad(expected.square().sum(), wide)
    torch.testing.assert_close(out.double(), expected, rtol=1e-6, atol=1e-6)
    for grad, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(grad.double(), other, rtol=1e-5, atol=1e-3)
        small = grad.abs()
        assert not ((small > 0) & (small < torch.finfo(torch.float32).tiny)).any()
