from __future__ import annotations

import math

import pytest
import torch
from mcltoolkit_contrast.modulated import ModulatedContrastLoss
from mcltoolkit_contrast.patch_nce import PatchNCELoss

from mcltoolkit.errors import ConfigError

FEATURES = {"features": "descriptors", "head": None, "positions": None}


def loss_of(**settings):
    return ModulatedContrastLoss(**{**FEATURES, **settings})


def vectors(seed=0, count=6):
    torch.manual_seed(seed)
    return torch.randn(2, 1, count, 5, dtype=torch.float64)


def plain(anchor, key, weighting, epsilon, iterations, strength, temperature):
    """MoNCE by loops, for one image (N, D)."""
    n = len(anchor)
    a, k = (x / x.norm(dim=1, keepdim=True) for x in (anchor, key))
    s = [[float(a[i] @ k[j]) for j in range(n)] for i in range(n)]
    kernel = [
        [
            0.0 if i == j else math.exp((s[i][j] if weighting == "hard" else 1 - s[i][j]) / epsilon)
            for j in range(n)
        ]
        for i in range(n)
    ]
    u, v = [1.0] * n, [1.0] * n
    for _ in range(iterations):
        v = [1 / sum(u[i] * kernel[i][j] for i in range(n)) for j in range(n)]
        u = [1 / sum(kernel[i][j] * v[j] for j in range(n)) for i in range(n)]
    total = 0.0
    for i in range(n):
        own = math.exp(s[i][i] / temperature)
        others = sum(
            strength * (n - 1) * u[i] * kernel[i][j] * v[j] * math.exp(s[i][j] / temperature)
            for j in range(n)
            if j != i
        )
        total -= math.log(own / (own + others))
    return total / n


@pytest.mark.parametrize("weighting", ["hard", "easy"])
@pytest.mark.parametrize(("epsilon", "strength"), [(1.0, 1.0), (0.2, 0.5)])
def test_value_of_the_plain_formula(weighting, epsilon, strength):
    anchor, key = vectors()
    loss = loss_of(weighting=weighting, epsilon=epsilon, iterations=20, strength=strength)
    expected = plain(anchor[0], key[0], weighting, epsilon, 20, strength, 0.07)
    assert loss.contrast(anchor, key).mean().item() == pytest.approx(expected)


def test_gradient_with_the_weights_held_fixed():
    anchor, key = vectors(1)
    anchor.requires_grad_()
    loss = loss_of(temperature=0.3)
    cosine = torch.nn.functional.normalize(anchor, dim=2) @ torch.nn.functional.normalize(
        key, dim=2
    ).transpose(1, 2)
    weights = loss.log_weights(cosine).exp()
    assert not weights.requires_grad
    scores = (cosine / 0.3).exp()[0]
    negatives = (weights[0] * scores).sum(1) - scores.diagonal()
    expected = -(scores.diagonal() / (scores.diagonal() + negatives)).log().mean()
    (theirs,) = torch.autograd.grad(expected, anchor)
    (ours,) = torch.autograd.grad(loss.contrast(anchor, key).mean(), anchor)
    torch.testing.assert_close(ours, theirs)


def test_gradient_through_the_weights_if_asked_for():
    anchor, key = vectors(2, 4)
    loss = loss_of(temperature=0.3, epsilon=0.5, iterations=5, detach_weights=False)
    assert torch.autograd.gradcheck(lambda a: loss.contrast(a, key), anchor.requires_grad_())
    fixed = loss_of(temperature=0.3, epsilon=0.5, iterations=5)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda a: fixed.contrast(a, key), anchor)


@pytest.mark.parametrize("negatives", ["image", "batch"])
@pytest.mark.parametrize("settings", [{"weighting": None}, {"epsilon": 1e9}])
def test_uniform_weights_reduce_to_patch_nce(make_translation, settings, negatives):
    t = make_translation(2)
    expected = PatchNCELoss(**FEATURES, negatives=negatives)(t)
    got = loss_of(negatives=negatives, **settings)(t)
    if settings == {"weighting": None}:
        assert torch.equal(got, expected)
    else:
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=0)


def test_hard_negatives_cost_more_than_uniform_ones_and_easy_ones_less():
    anchor, key = vectors(3, 12)
    hard, none, easy = (
        loss_of(weighting=w).contrast(anchor, key).mean() for w in ("hard", None, "easy")
    )
    assert hard > none > easy


def test_strength_scales_the_negatives_without_a_plan_too():
    anchor, key = vectors(4)
    got = loss_of(weighting=None, strength=0.25).contrast(anchor, key)
    base = loss_of(weighting=None).contrast(anchor, key)
    odds = base.exp() - 1  # sum of the negatives over the positive
    torch.testing.assert_close(got.exp() - 1, 0.25 * odds)


def test_negatives_of_the_batch_are_coupled_together():
    torch.manual_seed(5)
    anchor, key = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    got = loss_of(negatives="batch").contrast(anchor, key)
    assert got.shape == (3, 4)
    one = loss_of().contrast(anchor.flatten(0, 1)[None], key.flatten(0, 1)[None])
    torch.testing.assert_close(got.flatten(), one[0])


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("detach", [True, False])
def test_finite_for_equal_zero_and_few_vectors(count, detach):
    loss = loss_of(detach_weights=detach, epsilon=0.01)
    for anchor in (torch.zeros(2, count, 4), torch.ones(2, count, 4)):
        anchor.requires_grad_()
        for key in (anchor.detach().clone(), -anchor.detach()):
            value = loss.contrast(anchor, key).mean()
            (gradient,) = torch.autograd.grad(value, anchor)
            assert value.isfinite()
            assert gradient.isfinite().all()


def test_output_against_truth(make_translation):
    t = make_translation(2)
    settings = dict(layers={"relu1_1": 0.5, "relu2_1": 1.0}, width_divisor=16, hidden=8)
    loss = ModulatedContrastLoss(**settings)
    loss(t).backward()
    assert t.fake.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"weighting": "soft"},
            "ModulatedContrastLoss.weighting is 'soft'; allowed: 'hard', 'easy'",
        ),
        ({"epsilon": 0}, "epsilon is 0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"strength": 0}, "strength is 0"),
        ({"temperature": -1}, "ModulatedContrastLoss.temperature is -1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        loss_of(**settings)
