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


def long_match(memory, seed=0):
    torch.manual_seed(seed)
    queries, keys = unit_length(torch.randn(2, 7, 60)), unit_length(torch.randn(2, 7, 50))
    queries.requires_grad_()
    keys.requires_grad_()
    return CosineMatch(queries, keys, (6, 10), (5, 10), 0.05, memory)


def results(match):
    torch.manual_seed(1)
    labels, values = torch.rand(2, 6, 50), torch.rand(2, 4, 60)
    warped, back = match.warp_cycle(labels, 3)
    torch.testing.assert_close(warped, match.warp(labels))
    torch.testing.assert_close(back, match.warp_back(warped[:, :3]))
    outputs = [warped, back, match.warp_back(values)]
    total = sum((x * torch.rand_like(x)).sum() for x in outputs)
    return [*outputs, *torch.autograd.grad(total, (match.queries, match.keys))]


@pytest.mark.parametrize("memory", ["dense", "blocks", "auto"])
def test_every_way_to_hold_a_match_gives_the_same(memory, monkeypatch):
    from mcltoolkit.ops import blocks

    monkeypatch.setitem(blocks.NUMBERS, "cpu", 500)
    monkeypatch.setattr(blocks, "FEWEST_ROWS", 7)
    for found, expected in zip(results(long_match(memory)), results(long_match("dense")),
                               strict=True):  # fmt: skip
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_auto_keeps_the_matrix_where_it_fits_and_saves_time(monkeypatch):
    match = CosineMatch(torch.zeros(1, 600, 20, requires_grad=True), torch.zeros(1, 600, 30),
                        (4, 5), (5, 6))  # fmt: skip
    assert match.is_dense
    with torch.no_grad():
        assert not match.is_dense
    monkeypatch.setattr("mcltoolkit.correspondence.match.KEPT_BYTES", 20 * 30 * 4 - 1)
    assert not match.is_dense
    assert not make().is_dense


@pytest.mark.parametrize("memory", ["dense", "blocks"])
def test_heaviest_partners_are_those_of_the_weights(memory):
    match = long_match(memory)
    there, back, finite = match.heaviest()
    assert torch.equal(there, match.probabilities().argmax(2))
    weights = match.warp_back(torch.eye(60).expand(2, -1, -1))
    assert torch.equal(back, weights.argmax(1))
    assert finite.all()
    with torch.no_grad():
        match.queries[1, 0, 3] = torch.nan
    match.release()
    assert match.heaviest()[2].tolist() == [True, False]
