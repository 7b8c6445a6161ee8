from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_contrast.info_nce import info_nce, unit_rows

from mcltoolkit.losses import marginal_contrastive


def cosines(batch=2, count=6, seed=0):
    torch.manual_seed(seed)
    a, k = unit_rows(torch.randn(2, batch, count, 8, dtype=torch.float64))
    return (a @ k.transpose(1, 2)).requires_grad_()


def test_without_weights_it_is_cross_entropy():
    cosine = cosines()
    target = torch.arange(6).expand(2, -1)
    expected = F.cross_entropy(cosine.transpose(1, 2) / 0.07, target, reduction="none")
    torch.testing.assert_close(info_nce(cosine, 0.07), expected)


def test_without_weights_it_is_the_toolkits_contrast_without_margin():
    torch.manual_seed(1)
    anchor, key = torch.randn(2, 3, 7, 5, dtype=torch.float64)
    cosine = unit_rows(anchor) @ unit_rows(key).transpose(1, 2)
    expected = marginal_contrastive(anchor, key, 0.07, 0.0)
    torch.testing.assert_close(info_nce(cosine, 0.07).mean(), expected)


def test_weights_multiply_the_negatives_alone():
    cosine, temperature = cosines().detach(), 0.2
    weights = torch.rand(2, 6, 6, dtype=torch.float64) + 0.1
    got = info_nce(cosine, temperature, weights.log())
    for b in range(2):
        for i in range(6):
            own = math.exp(cosine[b, i, i] / temperature)
            others = sum(
                weights[b, i, j].item() * math.exp(cosine[b, i, j] / temperature)
                for j in range(6)
                if j != i
            )
            assert got[b, i].item() == pytest.approx(-math.log(own / (own + others)))


def test_weights_of_one_change_nothing():
    cosine = cosines()
    assert torch.equal(
        info_nce(cosine, 0.07, torch.zeros_like(cosine)), info_nce(cosine, 0.07, None)
    )


def test_gradcheck():
    weights = torch.randn(2, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, w: info_nce(s, 0.3, w), (cosines(), weights))


def test_rows_of_no_length_have_a_finite_gradient():
    rows = torch.zeros(1, 3, 4, requires_grad=True)
    unit_rows(rows).sum().backward()
    assert rows.grad.isfinite().all()
    torch.testing.assert_close(unit_rows(torch.randn(5, 4)).norm(dim=1), torch.ones(5))
