import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.correspondence import CosineMatch
from mcltoolkit.layers import unit_length


def make(temperature=0.5, grid=(3, 2), exemplar_grid=(2, 5), seed=0):
    torch.manual_seed(seed)
    n, m = grid[0] * grid[1], exemplar_grid[0] * exemplar_grid[1]
    queries, keys = unit_length(torch.randn(2, 7, n)), unit_length(torch.randn(2, 7, m))
    return CosineMatch(queries, keys, grid, exemplar_grid, temperature)


def explicit_logits(match):
    b, _, n = match.queries.shape
    m = match.keys.shape[2]
    logits = torch.empty(b, n, m)
    for k in range(b):
        for i in range(n):
            for j in range(m):
                logits[k, i, j] = (match.queries[k, :, i] * match.keys[k, :, j]).sum()
    return logits / match.temperature


def test_warps_are_the_two_softmaxes_of_the_cosines():
    match = make()
    logits = explicit_logits(match)
    rows = logits.exp() / logits.exp().sum(2, keepdim=True)
    columns = logits.exp() / logits.exp().sum(1, keepdim=True)
    exemplar_values, condition_values = torch.randn(2, 4, 10), torch.randn(2, 4, 6)
    torch.testing.assert_close(
        match.warp(exemplar_values), torch.einsum("bcm,bnm->bcn", exemplar_values, rows)
    )
    torch.testing.assert_close(
        match.warp_back(condition_values), torch.einsum("bcn,bnm->bcm", condition_values, columns)
    )
    torch.testing.assert_close(match.probabilities(), rows)
    some = torch.tensor([4, 1])
    torch.testing.assert_close(match.probabilities(some), rows[:, some])


def test_rows_of_probabilities_sum_to_one_at_the_paper_temperature():
    match = make(temperature=0.01)
    for found in (match.probabilities(), match.probabilities(torch.tensor([0, 5]))):
        torch.testing.assert_close(found.sum(2), torch.ones(found.shape[:2]))
        assert (found >= 0).all()


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
    plain = make(temperature=0.01).warp(values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = make(temperature=0.01).warp(values)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, plain)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_unit_length_equals_division_by_the_norm(scale):
    values = torch.randn(2, 5, 3) * scale
    expected = values / values.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(unit_length(values), expected)


def test_zero_vectors_stay_zero_with_finite_gradient():
    values = torch.zeros(1, 4, 3, requires_grad=True)
    unit = unit_length(values)
    (unit * torch.randn(1, 4, 3)).sum().backward()
    assert (unit == 0).all()
    assert values.grad.isfinite().all()


def test_second_library_attention_agrees():
    match = make(temperature=0.2)
    values = torch.randn(2, 4, 10)
    attended = F.scaled_dot_product_attention(
        match.queries.mT[:, None], match.keys.mT[:, None], values.mT[:, None], scale=1 / 0.2
    )
    torch.testing.assert_close(match.warp(values), attended[:, 0].mT)


def test_gradients_of_both_warps_equal_finite_differences():
    torch.manual_seed(0)
    raw = [torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    values = torch.randn(1, 2, 4, dtype=torch.float64)

    def there_and_back(queries, keys):
        match = CosineMatch(unit_length(queries), unit_length(keys), (2, 2), (2, 2), 0.5)
        return match.warp_back(match.warp(values))

    assert torch.autograd.gradcheck(there_and_back, raw)
