from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_contrast.margins import (
    CosineMarginContrastiveLoss,
    MultiplicativeMarginContrastiveLoss,
    cosine_margin,
    multiplicative_margin,
)

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses import MarginalContrastiveLoss, marginal_contrastive

FACTORS = [1.0, 1.16, 1.35, 2.0, 2.5, 3.0, 4.0]
LOSSES = {
    CosineMarginContrastiveLoss: (0.0, 0.35, cosine_margin),
    MultiplicativeMarginContrastiveLoss: (1.0, 1.35, multiplicative_margin),
}
EVERY = pytest.mark.parametrize("kind", list(LOSSES))


def psi(theta, m):
    """SphereFace's definition, interval by interval."""
    k = 0
    while theta > (k + 1) * math.pi / m:
        k += 1
    return (-1) ** k * math.cos(m * theta) - 2 * k


def plain(anchor, positive, temperature, own):
    """The contrast with the angle itself, for one image (N, D); `own` maps a cosine."""
    a = anchor / anchor.norm(dim=1, keepdim=True)
    p = positive / positive.norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(len(a)):
        kept = torch.exp(own(a[i] @ p[i]) / temperature)
        others = sum(torch.exp(a[i] @ p[j] / temperature) for j in range(len(a)) if j != i)
        total = total - torch.log(kept / (kept + others))
    return total / len(a)


# -- the margins -------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", FACTORS)
def test_multiplicative_margin_is_sphereface_psi(factor):
    theta = torch.linspace(0.01, math.pi - 0.01, 500, dtype=torch.float64)
    expected = torch.tensor([psi(t, factor) for t in theta.tolist()], dtype=torch.float64)
    torch.testing.assert_close(multiplicative_margin(theta.cos(), factor), expected)


def test_integer_factor_is_the_chebyshev_polynomial_before_the_first_lap():
    """cos(2 theta) = 2 s^2 - 1, cos(4 theta) = 8 s^4 - 8 s^2 + 1: how SphereFace computes them."""
    cosine = torch.linspace(0.71, 1, 300, dtype=torch.float64)
    ours = multiplicative_margin(cosine, 2)
    torch.testing.assert_close(ours, 2 * cosine**2 - 1, rtol=0, atol=1e-9)
    ours = multiplicative_margin(cosine, 4)
    torch.testing.assert_close(ours, 8 * cosine**4 - 8 * cosine**2 + 1, rtol=0, atol=1e-9)


@pytest.mark.parametrize("factor", FACTORS)
def test_multiplicative_margin_rises_without_a_jump_with_bounded_slope_and_never_helps(factor):
    cosine = torch.linspace(-1, 1, 20001, dtype=torch.float64, requires_grad=True)
    value = multiplicative_margin(cosine, factor)
    steps = value.detach().diff()
    assert (steps > 0).all()
    assert steps.max() < 0.05
    assert (value <= cosine + 1e-12).all()
    (slope,) = torch.autograd.grad(value.sum(), cosine)
    assert slope.min() > -1e-12  # rounding where two laps meet
    assert slope.max() <= 1000 * factor


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", FACTORS)
def test_finite_at_the_ends_and_beyond_them_by_rounding(factor, dtype):
    step = torch.finfo(dtype).eps
    cosine = torch.tensor([-1 - step, -1, -1 + step, 0, 1 - step, 1, 1 + step], dtype=dtype)
    cosine.requires_grad_()
    value = multiplicative_margin(cosine, factor)
    (slope,) = torch.autograd.grad(value.sum(), cosine)
    assert value.isfinite().all()
    assert slope.isfinite().all()
    assert (slope[[0, 1, 2, 4, 5, 6]] > 0).all()
    torch.testing.assert_close(value[5], torch.ones((), dtype=dtype), rtol=0, atol=1e-6)
    if factor > 1:
        assert slope[5].item() == pytest.approx(factor**2, rel=1e-3)


def test_gradcheck_away_from_the_ends():
    torch.manual_seed(0)
    cosine = (torch.rand(40, dtype=torch.float64) * 1.9 - 0.95).requires_grad_()
    for factor in FACTORS:
        assert torch.autograd.gradcheck(lambda s, m=factor: multiplicative_margin(s, m), cosine)
    assert torch.autograd.gradcheck(lambda s: cosine_margin(s, 0.3), cosine)


def test_no_margin_is_the_cosine_itself():
    cosine = torch.rand(100) * 2 - 1
    assert cosine_margin(cosine, 0.0) is cosine
    assert multiplicative_margin(cosine, 1.0) is cosine


# -- the losses --------------------------------------------------------------------------------


def rows(features_map):
    return features_map.flatten(2).transpose(1, 2)


@EVERY
def test_no_margin_reduces_exactly_to_info_nce(kind, make_translation):
    t = make_translation(2)
    loss = kind(head=None, margin=LOSSES[kind][0])
    assert torch.equal(loss(t), MarginalContrastiveLoss(head=None, margin=0.0)(t))
    a, p = F.normalize(rows(t.condition_descriptors), dim=2), rows(t.truth_descriptors)
    logits = (a @ F.normalize(p, dim=2).transpose(1, 2)).flatten(0, 1)
    count = a.shape[1]
    expected = F.cross_entropy(logits / 0.07, torch.arange(count).repeat(2))
    torch.testing.assert_close(loss(t), expected)


@pytest.mark.parametrize(
    ("kind", "margin", "own"),
    [
        (CosineMarginContrastiveLoss, 0.35, lambda s: s - 0.35),
        (MultiplicativeMarginContrastiveLoss, 2.0, lambda s: psi_of(s, 2.0)),
        (MultiplicativeMarginContrastiveLoss, 1.35, lambda s: psi_of(s, 1.35)),
    ],
)
def test_value_and_gradient_of_the_plain_formula(kind, margin, own):
    torch.manual_seed(1)
    anchor = torch.randn(2, 6, 8, dtype=torch.float64, requires_grad=True)
    positive = torch.randn(2, 6, 8, dtype=torch.float64, requires_grad=True)
    loss = kind(head=None, temperature=0.1, margin=margin)
    got = loss.contrast(anchor, positive, margin)
    expected = sum(plain(a, p, 0.1, own) for a, p in zip(anchor, positive, strict=True)) / 2
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    ours = torch.autograd.grad(got, (anchor, positive))
    theirs = torch.autograd.grad(expected, (anchor, positive))
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def psi_of(cosine, m):
    theta = torch.arccos(cosine)
    k = math.floor(float(theta.detach()) * m / math.pi)
    return (-1) ** k * torch.cos(m * theta) - 2 * k


@EVERY
def test_loss_rises_with_the_margin(kind):
    torch.manual_seed(2)
    anchor = torch.randn(2, 9, 8)
    positive = anchor + 0.5 * torch.randn(2, 9, 8)
    none, usual, _ = LOSSES[kind]
    loss = kind(head=None)
    margins = [none + (usual - none) * share for share in (0, 0.2, 1, 2)]
    values = [float(loss.contrast(anchor, positive, m)) for m in margins]
    assert values == sorted(values)
    assert len(set(values)) == 4


@EVERY
def test_schedule_starts_from_no_margin(kind, make_translation):
    none, usual, _ = LOSSES[kind]
    loss = kind(head=None, margin_schedule={"begin": 0.4, "end": 0.8})
    assert loss.margin == usual
    found = [loss.current_margin(p) for p in (0.0, 0.4, 0.6, 0.8, 1.0)]
    assert found == pytest.approx([none, none, (none + usual) / 2, usual, usual])
    for progress in (0.0, 0.5, 1.0):
        t = make_translation(2, progress=progress)
        constant = kind(head=None, margin=loss.current_margin(progress))
        torch.testing.assert_close(loss(t), constant(t))


def cases(case, dtype):
    torch.manual_seed(3)
    anchor = torch.randn(2, 7, 16)
    positive = {
        "identical": anchor.clone(),
        "opposite": -anchor,
        "zero": torch.zeros_like(anchor),
        "all_equal": anchor[:, :1].expand_as(anchor).clone(),
    }[case]
    if case == "all_equal":
        anchor = positive.clone()
    return anchor.to(dtype).requires_grad_(), positive.to(dtype).requires_grad_()


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", ["identical", "opposite", "zero", "all_equal"])
def test_value_and_gradient_are_finite_everywhere(kind, case, dtype):
    loss = kind(head=None, temperature=0.05)
    low, high = loss.margin_range
    for margin in (low, loss.margin, min(high, 2.0), high):
        for count in (1, 2, 7):
            anchor, positive = cases(case, dtype)
            with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
                value = loss.contrast(anchor[:, :count], positive[:, :count], margin)
            value.backward()
            assert value.dtype == torch.float32
            assert value.isfinite()
            assert anchor.grad.isfinite().all()
            assert positive.grad.isfinite().all()


@EVERY
def test_all_settings_of_the_marginal_contrastive_loss(kind, make_translation):
    """Drop-in: the same settings give the same value where the margin is none."""
    settings = dict(
        weight=0.3,
        temperature=0.1,
        margin_schedule=dict(begin=0.0, end=1.0),
        positions=9,
        shared_positions=False,
        head="mlp",
        hidden=12,
        shared_head=False,
        in_channels=6,
        detach="image",
        direction="both",
        negatives="batch",
        features="encoder",
    )
    t = make_translation(2)
    values = []
    for made_by, margin in ((kind, LOSSES[kind][1]), (MarginalContrastiveLoss, 0.25)):
        torch.manual_seed(4)
        values.append(made_by(margin=margin, **settings)(t))
    assert torch.equal(*values)


@EVERY
def test_margin_out_of_range_is_named(kind):
    low, high = kind.margin_range
    for margin in (low - 0.1, high + 0.1):
        with pytest.raises(ConfigError, match=f"{kind.__name__}.margin is {margin}.*in \\["):
            kind(head=None, margin=margin)


def test_negatives_of_other_kinds_of_margin_stay_as_they_are():
    """Only the positive pair's logit changes: the rest is that of InfoNCE."""
    torch.manual_seed(5)
    anchor, positive = torch.randn(2, 1, 5, 8, dtype=torch.float64)
    a, p = F.normalize(anchor, dim=2), F.normalize(positive, dim=2)
    for kind, (_, usual, apply) in LOSSES.items():
        logits = (a @ p.transpose(1, 2))[0] / 0.07
        own = apply(logits.diagonal() * 0.07, usual) / 0.07
        expected = F.cross_entropy(logits.diagonal_scatter(own), torch.arange(5))
        got = kind(head=None).contrast(anchor, positive, usual)
        torch.testing.assert_close(got, expected)
        by_function = marginal_contrastive(anchor, positive, 0.07, usual, apply_margin=apply)
        torch.testing.assert_close(got, by_function)
