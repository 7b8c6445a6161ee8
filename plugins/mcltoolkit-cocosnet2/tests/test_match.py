import pytest
import torch
from mcltoolkit_cocosnet2.match import SparseMatch

from mcltoolkit.metrics import cycle_error, match_entropy, matched_positions

GRID, EXEMPLAR_GRID, B, J = (3, 4), (2, 5), 2, 3
N, M = 12, 10


def make():
    torch.manual_seed(0)
    index = torch.randint(M, (B, J, N))
    return SparseMatch(index, torch.randn(B, J, N).softmax(1), GRID, EXEMPLAR_GRID)


def loop_rows(match):
    rows = torch.zeros(B, N, M)
    for b in range(B):
        for n in range(N):
            for j in range(J):
                rows[b, n, match.index[b, j, n]] += match.weights[b, j, n]
    return rows


def test_warp_is_the_weighted_sum_of_gathered_values():
    match, values = make(), torch.randn(B, 4, M)
    expected = torch.zeros(B, 4, N)
    for b in range(B):
        for j in range(J):
            expected[b] += match.weights[b, j] * values[b][:, match.index[b, j]]
    torch.testing.assert_close(match.warp(values), expected)


def test_probabilities_are_dense_rows_for_the_rows_asked_for():
    match = make()
    rows = loop_rows(match)
    torch.testing.assert_close(match.probabilities(), rows)
    torch.testing.assert_close(match.probabilities().sum(2), torch.ones(B, N))
    some = torch.tensor([11, 0, 3])
    torch.testing.assert_close(match.probabilities(some), rows[:, some])
    assert match.probabilities(some).shape == (B, 3, M)


def test_warp_back_averages_those_that_look_and_is_0_where_nobody_does():
    match, values = make(), torch.randn(B, 4, N)
    match.index[match.index == 7] = 6
    rows = loop_rows(match)
    total = rows.sum(1)
    seen = total > 0
    assert not seen[:, 7].any()
    expected = torch.einsum("bcn,bnm->bcm", values, rows) / total.clamp_min(1e-9).unsqueeze(1)
    found = match.warp_back(values)
    torch.testing.assert_close(found, expected)
    assert (found[:, :, 7] == 0).all()
    ones = match.warp_back(torch.ones(B, 1, N))[:, 0]
    torch.testing.assert_close(ones, seen.float())


def test_weights_carry_the_gradient_of_everything():
    match = make()
    match.weights.requires_grad_(True)
    for value in (
        match.warp(torch.randn(B, 2, M)),
        match.warp_back(torch.randn(B, 2, N)),
        match.probabilities(torch.tensor([1])),
    ):
        (gradient,) = torch.autograd.grad(value.square().sum(), match.weights)
        assert gradient.isfinite().all()
        assert gradient.any()


def test_autocast_does_not_lower_the_precision():
    match, values = make(), torch.randn(B, 4, M)
    plain = match.warp(values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(match.warp(values), plain)
        assert match.warp(values.bfloat16()).dtype == torch.float32


def test_the_toolkits_measures_take_it():
    n = torch.arange(N)
    same = SparseMatch(n.expand(1, 1, -1), torch.ones(1, 1, N), GRID, GRID)
    assert cycle_error(same).item() == 0
    entropy, coverage = match_entropy(same)
    assert (entropy.item(), coverage.item()) == (pytest.approx(0, abs=1e-6), 1)
    torch.testing.assert_close(matched_positions(same)[0], torch.stack([n % 4, n // 4]).float())
