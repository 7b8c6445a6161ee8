import pytest
import torch
from mcltoolkit_cocosnet2 import gather
from mcltoolkit_cocosnet2.gather import gather_dot, gather_sum, scatter_sum

B, J, N, M, C = 2, 5, 7, 6, 3


@pytest.fixture(params=[2**22, 1], ids=["one block", "a block a partner"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(gather, "AT_ONCE", request.param)


def make(dtype=torch.float64):
    torch.manual_seed(0)
    here, there = torch.randn(B, N, C, dtype=dtype), torch.randn(B, M, C, dtype=dtype)
    weights, index = torch.randn(B, J, N, dtype=dtype), torch.randint(M, (B, J, N))
    return here, there, weights, index


def dense(weights, index):
    """The sparse N x M matrix, written out."""
    matrix = torch.zeros(B, N, M, dtype=weights.dtype)
    for b in range(B):
        for j in range(J):
            for n in range(N):
                matrix[b, n, index[b, j, n]] += weights[b, j, n]
    return matrix


def test_products_equal_those_with_the_matrix_written_out(blocks):
    here, there, weights, index = make()
    matrix = dense(weights, index)
    torch.testing.assert_close(gather_sum(weights, there, index), matrix @ there)
    torch.testing.assert_close(scatter_sum(weights, here, index, M), matrix.mT @ here)
    dots = gather_dot(here, there, index)
    for b in range(B):
        for j in range(J):
            for n in range(N):
                expected = here[b, n] @ there[b, index[b, j, n]]
                torch.testing.assert_close(dots[b, j, n], expected)


def test_gradients_of_first_and_second_order_equal_finite_differences(blocks):
    here, there, weights, index = (t.requires_grad_(t.is_floating_point()) for t in make())
    for function, arguments in (
        (lambda q, k: gather_dot(q, k, index), (here, there)),
        (lambda w, v: gather_sum(w, v, index), (weights, there)),
        (lambda w, v: scatter_sum(w, v, index, M), (weights, here)),
    ):
        assert torch.autograd.gradcheck(function, arguments)
        assert torch.autograd.gradgradcheck(function, arguments)


def test_only_the_factors_are_kept_for_the_gradient():
    here, there, weights, index = make(torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        gather_dot(here.requires_grad_(), there.requires_grad_(), index)
        gather_sum(weights.requires_grad_(), there, index)
    assert max(kept) < J * N * C
