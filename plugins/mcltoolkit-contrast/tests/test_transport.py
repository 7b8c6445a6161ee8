from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mcltoolkit_contrast.transport import GAINS, negative_log_weights, transport_log_plan


def cosines(batch=2, count=9, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return torch.rand(batch, count, count, dtype=dtype) * 2 - 1


def plain_plan(gain, epsilon, iterations):
    """Sinkhorn's scaling of the kernel itself, entry by entry, for one N x N gain."""
    n = len(gain)
    kernel = np.array(
        [[0.0 if i == j else math.exp(gain[i][j] / epsilon) for j in range(n)] for i in range(n)]
    )
    u = np.ones(n)
    for _ in range(iterations):
        v = 1 / (kernel.T @ u)
        u = 1 / (kernel @ v)
    return u[:, None] * kernel * v[None]


@pytest.mark.parametrize("iterations", [1, 3, 50])
@pytest.mark.parametrize("epsilon", [0.2, 1.0, 10.0])
def test_plan_is_sinkhorns_in_the_log_domain(epsilon, iterations):
    gain = cosines()
    got = transport_log_plan(gain, epsilon, iterations).exp()
    for b in range(2):
        expected = torch.from_numpy(plain_plan(gain[b].tolist(), epsilon, iterations))
        torch.testing.assert_close(got[b], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_plan_agrees_with_pot(epsilon):
    ot = pytest.importorskip("ot")
    gain = cosines(1)
    cost = -gain[0].numpy()
    np.fill_diagonal(cost, 1e4)  # no mass on the positive pairs
    expected = ot.sinkhorn(
        np.ones(9), np.ones(9), cost, epsilon, method="sinkhorn_log", numItermax=20000,
        stopThr=1e-13,
    )  # fmt: skip
    got = transport_log_plan(gain, epsilon, 2000).exp()[0]
    torch.testing.assert_close(got, torch.from_numpy(expected), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [2, 3, 64])
def test_marginals(count, dtype):
    plan = transport_log_plan(cosines(2, count, dtype=dtype), 1.0, 50).exp()
    ones = torch.ones(2, count, dtype=dtype)
    torch.testing.assert_close(plan.sum(2), ones)
    torch.testing.assert_close(plan.sum(1), ones)
    assert (plan.diagonal(dim1=1, dim2=2) == 0).all()


def test_few_iterations_leave_the_rows_exact_and_the_columns_near():
    plan = transport_log_plan(cosines(), 0.2, 2).exp()
    ones = torch.ones(2, 9, dtype=torch.float64)
    torch.testing.assert_close(plan.sum(2), ones)
    error = (plan.sum(1) - 1).abs().max()
    assert 1e-6 < error < 1


def test_default_iterations_reach_the_marginals_for_features_in_uneven_clusters():
    torch.manual_seed(1)
    sizes = (4, 12, 40)
    centres = torch.cat([torch.randn(1, 64).expand(size, 64) for size in sizes])
    rows = torch.nn.functional.normalize(centres + 0.2 * torch.randn_like(centres), dim=1)
    weights = negative_log_weights((rows @ rows.T)[None])[0].exp()
    columns = (weights.sum(0) - 1) / (len(rows) - 1)  # the diagonal holds a one
    torch.testing.assert_close(columns, torch.ones(len(rows)), rtol=0, atol=1e-5)


def test_small_epsilon_does_not_underflow():
    gain = cosines(dtype=torch.float32)
    plan = transport_log_plan(gain, 1e-3, 500).exp()
    assert plan.isfinite().all()
    torch.testing.assert_close(plan.sum(2), torch.ones(2, 9), rtol=0, atol=1e-4)


def test_vanishing_entropy_gives_the_best_derangement():
    """Without entropy the plan is the permutation without fixed points of the greatest gain."""
    from scipy.optimize import linear_sum_assignment

    gain = cosines(1, 6)
    blocked = gain[0].numpy().copy()
    np.fill_diagonal(blocked, -1e6)
    rows, columns = linear_sum_assignment(blocked, maximize=True)
    plan = transport_log_plan(gain, 5e-3, 5000).exp()[0]
    assert plan[rows, columns].min() > 0.98


@pytest.mark.parametrize("weighting", GAINS)
@pytest.mark.parametrize("count", [2, 5, 40])
def test_weights_of_each_anchor_have_the_mean_one(count, weighting):
    log_weights = negative_log_weights(cosines(2, count), weighting)
    assert (log_weights.diagonal(dim1=1, dim2=2) == 0).all()
    off = ~torch.eye(count, dtype=torch.bool)
    weights = log_weights.exp()[:, off].view(2, count, count - 1)
    torch.testing.assert_close(weights.mean(2), torch.ones(2, count, dtype=torch.float64))


def test_hard_weights_rise_with_the_similarity_and_easy_ones_fall():
    cosine = cosines(1, 8)
    off = ~torch.eye(8, dtype=torch.bool)
    for weighting, sign in (("hard", 1), ("easy", -1)):
        weights = negative_log_weights(cosine, weighting)[0][off]
        assert sign * torch.corrcoef(torch.stack([weights, cosine[0][off]]))[0, 1] > 0.8


@pytest.mark.parametrize("weighting", GAINS)
def test_equal_similarities_and_large_epsilon_give_uniform_weights(weighting):
    alike = torch.full((1, 7, 7), 0.3, dtype=torch.float64)
    flat = negative_log_weights(alike, weighting)
    torch.testing.assert_close(flat, torch.zeros_like(flat), rtol=0, atol=1e-12)
    far = negative_log_weights(cosines(), weighting, epsilon=1e9)
    torch.testing.assert_close(far, torch.zeros_like(far), rtol=0, atol=1e-8)


def test_one_position_has_no_negative_to_weigh():
    assert (negative_log_weights(torch.ones(3, 1, 1)) == 0).all()


def test_gradcheck_of_the_plan():
    cosine = cosines(1, 5).requires_grad_()
    off = ~torch.eye(5, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda s: transport_log_plan(s, 0.7, 4)[:, off], cosine)
