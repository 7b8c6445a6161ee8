import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_unite.sinkhorn import potentials, row_blocks
from torch.autograd.graph import saved_tensors_hooks

ot = pytest.importorskip("ot", reason="the extra 'test' installs POT")


def vectors(n=7, m=5, d=4, b=2, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    q, k = (F.normalize(torch.randn(b, d, c, dtype=dtype), dim=1) for c in (n, m))
    log_a, log_b = (torch.randn(b, c, dtype=dtype).log_softmax(1) for c in (n, m))
    return q, k, log_a, log_b


def solve(q, k, log_a, log_b, epsilon, rho, iterations, block=3):
    damping = 1.0 if math.isinf(rho) else rho / (rho + epsilon)
    biases = log_a - 1 / epsilon, log_b - 1 / epsilon
    return potentials(q / epsilon, k, *biases, damping, iterations, block)


def plan_of(q, k, log_a, log_b, epsilon, u, v):
    cost = 1 - torch.einsum("bdn,bdm->bnm", q, k)
    rows, columns = log_a + u, log_b + v
    return (rows[:, :, None] + columns[:, None] - cost / epsilon).exp()


def objective(plan, a, b, cost, epsilon, rho):
    def divergence(p, q):
        logs = np.log(np.where(p > 0, p / q, 1))  # 0 log 0 is 0
        return (p * logs - p + q).sum()

    relaxed = divergence(plan.sum(1), a) + divergence(plan.sum(0), b)
    return (plan * cost).sum() + epsilon * divergence(plan, np.outer(a, b)) + rho * relaxed


def dense(q, k, log_a, log_b, epsilon, rho, iterations):
    """The iterations on the whole matrix, differentiated by autograd."""
    damping = 1.0 if math.isinf(rho) else rho / (rho + epsilon)
    logits = (torch.einsum("bdn,bdm->bnm", q, k) - 1) / epsilon
    v = torch.zeros_like(log_b)
    for _ in range(iterations):
        u = -damping * torch.logsumexp(logits + (log_b + v)[:, None, :], 2)
        v = -damping * torch.logsumexp(logits + (log_a + u)[:, :, None], 1)
    return u, v


@pytest.mark.parametrize("epsilon", [0.5, 0.1])
@pytest.mark.parametrize("rho", [0.05, 1.0])
def test_unbalanced_plan_and_cost_are_those_of_pot(epsilon, rho):
    q, k, log_a, log_b = vectors()
    found = plan_of(q, k, log_a, log_b, epsilon, *solve(q, k, log_a, log_b, epsilon, rho, 2000))
    for i in range(2):
        cost = 1 - (q[i].T @ k[i]).numpy()
        a, b = log_a[i].exp().numpy(), log_b[i].exp().numpy()
        for method in ("sinkhorn", "sinkhorn_stabilized"):
            expected = ot.unbalanced.sinkhorn_unbalanced(
                a, b, cost, epsilon, rho, method, reg_type="kl", numItermax=10000, stopThr=1e-15
            )
            np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-9, atol=1e-13)
        # a solver of another kind for the same objective comes near, and finds nothing better
        other = ot.unbalanced.lbfgsb_unbalanced(
            a, b, cost, epsilon, rho, c=np.outer(a, b), reg_div="kl", stopThr=1e-16
        )
        ours, theirs = (objective(p, a, b, cost, epsilon, rho) for p in (found[i].numpy(), other))
        assert ours <= theirs + 1e-12
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


@pytest.mark.parametrize("epsilon", [0.5, 0.1])
def test_balanced_plan_is_that_of_pot_and_keeps_the_marginals(epsilon):
    q, k, log_a, log_b = vectors(n=6, m=8)
    u, v = solve(q, k, log_a, log_b, epsilon, math.inf, 3000, block=4)
    found = plan_of(q, k, log_a, log_b, epsilon, u, v)
    torch.testing.assert_close(found.sum(2), log_a.exp(), rtol=1e-9, atol=0)
    torch.testing.assert_close(found.sum(1), log_b.exp(), rtol=1e-9, atol=0)
    for i in range(2):
        cost = 1 - (q[i].T @ k[i]).numpy()
        a, b = log_a[i].exp().numpy(), log_b[i].exp().numpy()
        for method in ("sinkhorn", "sinkhorn_log"):
            expected = ot.sinkhorn(a, b, cost, epsilon, method, numItermax=20000, stopThr=1e-14)
            np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-8, atol=1e-13)
            np.testing.assert_allclose((found[i].numpy() * cost).sum(), (expected * cost).sum())


@pytest.mark.parametrize("rho", [0.0, 0.05, math.inf])
@pytest.mark.parametrize("block", [1, 3, 100])
def test_values_and_gradients_are_those_of_the_dense_iterations(rho, block):
    inputs = [x.requires_grad_() for x in vectors()]
    goal = torch.randn(2, 7, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    found = solve(*inputs, 0.1, rho, 4, block)
    expected = dense(*inputs, 0.1, rho, 4)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    grads = [
        torch.autograd.grad(
            sum((x.sin() * g).sum() for x, g in zip(pair, goal, strict=True)), inputs
        )
        for pair in (found, expected)
    ]
    torch.testing.assert_close(*grads, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("damping", [0.6, 1.0])
def test_gradients_equal_finite_differences(damping):
    q, k, log_a, log_b = (x.requires_grad_() for x in vectors(n=4, m=3, d=2, b=1))
    assert torch.autograd.gradcheck(
        lambda *x: potentials(*x, damping, 3, 2), (q, k, log_a, log_b), atol=1e-7
    )


def test_without_iterations_potentials_are_zero():
    q, k, log_a, log_b = (x.requires_grad_() for x in vectors())
    u, v = potentials(q, k, log_a, log_b, 0.5, 0, 2)
    assert u.abs().max() == v.abs().max() == 0
    (u.sum() + v.sum()).backward()
    assert q.grad.abs().max() == 0


@pytest.mark.parametrize("rho", [0.1, math.inf])
@pytest.mark.parametrize("zeros", [False, True])
def test_extreme_inputs_stay_finite_in_float32(rho, zeros):
    q, k, log_a, log_b = vectors(n=20, m=30, dtype=torch.float32)
    if zeros:
        q, k = torch.zeros_like(q), torch.zeros_like(k)
    inputs = [x.detach().requires_grad_() for x in (q, k, 40 * log_a, 40 * log_b)]
    u, v = solve(*inputs, 1e-3, rho, 10)
    (u.mean() + v.square().mean()).backward()
    for values in (u, v, *(x.grad for x in inputs)):
        assert values.isfinite().all()


def saved(n, iterations=5):
    """Elements of each tensor that is kept for backward, a storage counted once."""
    kept = {}

    def pack(x):
        kept[x.untyped_storage().data_ptr()] = x.numel()
        return x

    inputs = [x.requires_grad_() for x in vectors(n, n, d=8, b=1, dtype=torch.float32)]
    with saved_tensors_hooks(pack, lambda x: x):
        u, v = solve(*inputs, 0.1, 0.1, iterations, 64)
    (u.sum() + v.sum()).backward()
    return kept.values()


def test_what_is_kept_for_backward_grows_linearly():
    small, large = saved(256), saved(1024)
    assert sum(large) == 4 * sum(small)
    assert max(large) < 1024 * 1024 / 64


def test_row_blocks_cover_every_row_once():
    rows = list(range(10))
    assert [r for part in row_blocks(10, 4) for r in rows[part]] == rows
    assert len(row_blocks(10, 4)) == 3
