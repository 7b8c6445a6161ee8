import math

import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_unite.match import TransportMatch
from torch.autograd.graph import saved_tensors_hooks

from mcltoolkit.correspondence import CosineMatch


def make(
    grid=(3, 4), exemplar_grid=(5, 2), d=6, seed=0, uniform=False, dtype=torch.float64, **more
):
    torch.manual_seed(seed)
    n, m = math.prod(grid), math.prod(exemplar_grid)
    q, k = (F.normalize(torch.randn(2, d, c, dtype=dtype), dim=1) for c in (n, m))
    log_a, log_b = (torch.randn(2, c, dtype=dtype).mul(not uniform).log_softmax(1) for c in (n, m))
    settings = {"epsilon": 0.2, "rho": 0.3, "iterations": 6, "block": 5} | more
    return TransportMatch(q, k, log_a, log_b, grid, exemplar_grid, **settings)


def dense_plan(match, rho=0.3):
    """The plan by multiplicative scaling (Chizat et al., algorithm 1), not in logarithms."""
    a, b = match.log_weights.exp(), match.exemplar_log_weights.exp()
    cost = 1 - torch.einsum("bdn,bdm->bnm", match.queries, match.keys)
    kernel = a[:, :, None] * b[:, None, :] * (-cost / match.epsilon).exp()
    power = rho / (rho + match.epsilon)
    y = torch.ones_like(b)
    for _ in range(match.iterations):
        x = (a / torch.einsum("bnm,bm->bn", kernel, y)) ** power
        y = (b / torch.einsum("bnm,bn->bm", kernel, x)) ** power
    return x[:, :, None] * kernel * y[:, None, :]


def test_warps_are_the_normalised_rows_and_columns_of_the_plan():
    match = make()
    plan = dense_plan(match)
    torch.testing.assert_close(match.plan(), plan)
    rows, columns = plan / plan.sum(2, keepdim=True), plan / plan.sum(1, keepdim=True)
    there, back = torch.randn(2, 3, 10).double(), torch.randn(2, 4, 12).double()
    torch.testing.assert_close(match.warp(there), torch.einsum("bcm,bnm->bcn", there, rows))
    torch.testing.assert_close(match.warp_back(back), torch.einsum("bcn,bnm->bcm", back, columns))
    torch.testing.assert_close(match.probabilities(), rows)
    some = torch.tensor([11, 0, 4])
    torch.testing.assert_close(match.probabilities(some), rows[:, some])
    torch.testing.assert_close(match.plan(some), plan[:, some])
    leaving, reaching = match.marginals()
    torch.testing.assert_close(leaving, plan.sum(2))
    torch.testing.assert_close(reaching, plan.sum(1))


def test_gradient_through_the_match_is_that_of_the_dense_plan():
    match = make()
    tensors = [match.queries, match.keys, match.log_weights, match.exemplar_log_weights]
    for x in tensors:
        x.requires_grad_()
    values = torch.randn(2, 3, 10).double().requires_grad_()
    warped = match.warp(values)
    found = warped.square().sum() + match.warp_back(warped).cos().sum()
    plan = dense_plan(match)
    rows, columns = plan / plan.sum(2, keepdim=True), plan / plan.sum(1, keepdim=True)
    warped = torch.einsum("bcm,bnm->bcn", values, rows)
    back = torch.einsum("bcn,bnm->bcm", warped, columns)
    expected = warped.square().sum() + back.cos().sum()
    grads = [torch.autograd.grad(x, [*tensors, values]) for x in (found, expected)]
    torch.testing.assert_close(*grads, rtol=1e-8, atol=1e-10)


def test_without_marginals_and_weights_it_is_the_cosine_match():
    match = make(rho=0.0, uniform=True)
    cosine = CosineMatch(match.queries, match.keys, match.grid, match.exemplar_grid, 0.2)
    there, back = torch.randn(2, 3, 10).double(), torch.randn(2, 4, 12).double()
    torch.testing.assert_close(match.probabilities(), cosine.probabilities())
    torch.testing.assert_close(match.warp(there), cosine.warp(there))
    torch.testing.assert_close(match.warp_back(back), cosine.warp_back(back))


def test_balance_spreads_a_many_to_one_match():
    """All positions like the same exemplar position best: softmax takes it everywhere, balanced
    transport gives each exemplar position its share."""
    torch.manual_seed(0)
    keys = F.normalize(torch.randn(1, 8, 9, dtype=torch.float64), dim=1)
    queries = F.normalize(keys[:, :, :1] + 0.4 * keys, dim=1)
    weights = torch.full((1, 9), -math.log(9), dtype=torch.float64)
    found = {}
    for rho in (0.0, 0.1, math.inf):
        match = TransportMatch(queries, keys, weights, weights, (3, 3), (3, 3), 0.02, rho, 500, 4)
        found[rho] = match.probabilities().sum(1)[0]
    assert found[0.0][0] > 8.5
    assert found[math.inf].sub(1).abs().max() < 0.02
    assert found[math.inf][0] < found[0.1][0] < found[0.0][0]


def test_a_match_first_used_without_gradient_still_trains():
    match = make()
    match.queries.requires_grad_(True)
    values = torch.randn(2, 4, 10)
    with torch.no_grad():
        match.warp(values)
    match.warp(values).square().sum().backward()
    assert match.queries.grad.abs().sum() > 0


def test_autocast_does_not_lower_the_precision():
    values = torch.randn(2, 4, 10)

    def run():
        match = make(epsilon=0.01, dtype=torch.float32)
        match.queries.requires_grad_()
        out = match.warp(values)
        out.square().sum().backward()
        return out, match.queries.grad

    plain = run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = run()
    assert mixed[0].dtype == torch.float32
    torch.testing.assert_close(mixed, plain)


def test_half_precision_inputs_are_computed_in_float32():
    match = make(dtype=torch.float32)
    half = TransportMatch(
        match.queries.bfloat16(), match.keys.bfloat16(), match.log_weights.bfloat16(),
        match.exemplar_log_weights, (3, 4), (5, 2), 0.2, 0.3, 6, 5,
    )  # fmt: skip
    warped = half.warp(torch.ones(2, 1, 10, dtype=torch.bfloat16))
    assert warped.dtype == torch.float32
    torch.testing.assert_close(warped, torch.ones(2, 1, 12))


@pytest.mark.parametrize("rho", [0.1, math.inf])
def test_zero_vectors_at_a_small_epsilon_stay_finite(rho):
    match = make(epsilon=1e-3, rho=rho, dtype=torch.float32)
    match.queries = torch.zeros_like(match.queries, requires_grad=True)
    warped = match.warp(torch.randn(2, 3, 10))
    (warped.sum() + match.warp_back(warped).sum()).backward()
    assert warped.isfinite().all()
    assert match.queries.grad.isfinite().all()


def saved(side):
    kept = {}

    def pack(x):
        kept[x.untyped_storage().data_ptr()] = x.numel()
        return x

    match = make((side, side), (side, side), dtype=torch.float32, block=64)
    match.queries.requires_grad_()
    match.keys.requires_grad_()
    with saved_tensors_hooks(pack, lambda x: x):
        warped = match.warp(torch.randn(2, 3, side * side))
        back = match.warp_back(warped)
    back.square().sum().backward()
    return kept.values()


def test_memory_kept_for_backward_is_linear_in_the_positions():
    small, large = saved(16), saved(32)
    assert sum(large) == 4 * sum(small)
    assert max(large) < (32 * 32) ** 2 / 64
