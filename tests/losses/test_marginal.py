from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses import MarginalContrastiveLoss, angular_margin, marginal_contrastive

MARGINS = [0.0, 0.01, 0.25, 1.0, math.pi / 2]


def plain(anchor, positive, temperature, margin):
    """The paper's formula with the angle itself, for one image (N, D)."""
    a = anchor / anchor.norm(dim=1, keepdim=True)
    p = positive / positive.norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(len(a)):
        own = torch.exp(torch.cos(torch.arccos(a[i] @ p[i]) + margin) / temperature)
        others = sum(torch.exp(a[i] @ p[j] / temperature) for j in range(len(a)) if j != i)
        total = total - torch.log(own / (own + others))
    return total / len(a)


# -- the margin ------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", MARGINS)
def test_margin_is_cos_of_the_widened_angle_up_to_pi(margin):
    theta = torch.linspace(0.01, math.pi - margin - 0.01, 200, dtype=torch.float64)
    got = angular_margin(torch.cos(theta), margin)
    torch.testing.assert_close(got, torch.cos(theta + margin), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("margin", MARGINS)
def test_margin_rises_without_a_jump_with_bounded_slope_and_never_helps(margin):
    cosine = torch.linspace(-1, 1, 20001, dtype=torch.float64, requires_grad=True)
    value = angular_margin(cosine, margin)
    steps = value.diff()
    assert (steps > 0).all()
    assert steps.max() < 0.05
    assert (value <= cosine + 1e-12).all()
    (slope,) = torch.autograd.grad(value.sum(), cosine)
    assert (slope >= 0).all()
    assert slope.max() <= 1 + 1000 * math.sin(margin)


def test_zero_margin_is_the_cosine_itself():
    cosine = torch.rand(100) * 2 - 1
    assert torch.equal(angular_margin(cosine, 0.0), cosine)


def test_guard_beyond_pi_is_the_stated_line():
    cosine = torch.tensor([-1.0, -0.98], dtype=torch.float64)
    torch.testing.assert_close(angular_margin(cosine, 0.25), cosine - 1 + math.cos(0.25))


# -- the formula -----------------------------------------------------------------------------


@pytest.mark.parametrize("negatives", ["image", "batch"])
def test_zero_margin_is_info_nce(negatives):
    torch.manual_seed(0)
    anchor, positive = torch.randn(2, 3, 7, 5, dtype=torch.float64)
    a, p = F.normalize(anchor, dim=2), F.normalize(positive, dim=2)
    if negatives == "image":
        logits = torch.einsum("bnd,bmd->bnm", a, p).flatten(0, 1)
        target = torch.arange(7).repeat(3)
    else:
        logits = a.flatten(0, 1) @ p.flatten(0, 1).T
        target = torch.arange(21)
    expected = F.cross_entropy(logits / 0.07, target)
    got = marginal_contrastive(anchor, positive, 0.07, 0.0, negatives)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("negatives", ["image", "batch"])
@pytest.mark.parametrize("margin", [0.1, 0.25, 0.5])
def test_value_and_gradient_of_the_plain_formula(margin, negatives):
    torch.manual_seed(1)
    anchor = torch.randn(2, 6, 8, dtype=torch.float64, requires_grad=True)
    positive = torch.randn(2, 6, 8, dtype=torch.float64, requires_grad=True)
    if negatives == "image":
        expected = sum(plain(a, p, 0.1, margin) for a, p in zip(anchor, positive, strict=True)) / 2
    else:
        expected = plain(anchor.flatten(0, 1), positive.flatten(0, 1), 0.1, margin)
    got = marginal_contrastive(anchor, positive, 0.1, margin, negatives)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    ours = torch.autograd.grad(got, (anchor, positive))
    theirs = torch.autograd.grad(expected, (anchor, positive))
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def test_loss_rises_with_the_margin():
    torch.manual_seed(2)
    anchor = torch.randn(2, 9, 8)
    positive = anchor + 0.5 * torch.randn(2, 9, 8)
    values = [marginal_contrastive(anchor, positive, 0.07, m) for m in (0, 0.1, 0.25, 0.5, 1.0)]
    assert all(a < b for a, b in itertools.pairwise(values))


def test_length_of_features_does_not_matter():
    torch.manual_seed(3)
    anchor, positive = torch.randn(2, 1, 5, 4)
    torch.testing.assert_close(
        marginal_contrastive(anchor * 7, positive * 0.1, 0.07, 0.25),
        marginal_contrastive(anchor, positive, 0.07, 0.25),
    )


def features(case, batch, positions, dtype):
    torch.manual_seed(positions)
    anchor = torch.randn(batch, positions, 16)
    positive = {
        "identical": anchor.clone(),
        "opposite": -anchor,
        "zero": torch.zeros_like(anchor),
        "random": torch.randn_like(anchor),
        "all_equal": anchor[:, :1].expand_as(anchor).clone(),
        "both_zero": torch.zeros_like(anchor),
    }[case]
    if case == "all_equal":
        anchor = positive.clone()
    if case == "both_zero":
        anchor = torch.zeros_like(anchor)
    return anchor.to(dtype).requires_grad_(), positive.to(dtype).requires_grad_()


@pytest.mark.parametrize("negatives", ["image", "batch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "case", ["identical", "opposite", "zero", "random", "all_equal", "both_zero"]
)
def test_finite_everywhere(case, dtype, negatives):
    for batch in (1, 2, 3):
        for positions in (1, 2, 7, 64):
            for margin in (0.0, 0.25):
                anchor, positive = features(case, batch, positions, dtype)
                with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
                    loss = marginal_contrastive(anchor, positive, 0.05, margin, negatives)
                loss.backward()
                assert loss.dtype == torch.float32
                assert loss.isfinite()
                assert anchor.grad.isfinite().all()
                assert positive.grad.isfinite().all()


def test_shapes_and_settings_of_the_function_are_checked():
    with pytest.raises(ValueError, match="one shape"):
        marginal_contrastive(torch.randn(1, 4, 3), torch.randn(1, 5, 3), 0.07, 0.25)
    with pytest.raises(ValueError, match="negatives is 'all'"):
        marginal_contrastive(torch.randn(1, 4, 3), torch.randn(1, 4, 3), 0.07, 0.25, "all")


# -- the module ------------------------------------------------------------------------------


def loss_of(**settings):
    return MarginalContrastiveLoss(**{"head": None, **settings})


def rows(features_map):
    return features_map.flatten(2).transpose(1, 2)


def test_module_without_head_is_the_function_on_descriptors_or_encoder_features(make_translation):
    t = make_translation(2)
    for source, x, y in (
        ("descriptors", t.condition_descriptors, t.truth_descriptors),
        ("encoder", t.condition_features, t.truth_features),
    ):
        expected = marginal_contrastive(rows(x), rows(y), 0.07, 0.25)
        torch.testing.assert_close(loss_of(features=source)(t), expected)


def test_directions(make_translation):
    t = make_translation(2)
    forward, backward, both = (
        loss_of(direction=d)(t) for d in ("condition_to_image", "image_to_condition", "both")
    )
    assert abs(forward - backward) > 1e-4
    torch.testing.assert_close(both, (forward + backward) / 2)
    x, y = rows(t.condition_descriptors), rows(t.truth_descriptors)
    torch.testing.assert_close(backward, marginal_contrastive(y, x, 0.07, 0.25))


@pytest.mark.parametrize("head", [None, "mlp"])
@pytest.mark.parametrize("detach", [None, "image", "condition"])
def test_gradient_reaches_the_encoders_that_are_not_detached(make_translation, detach, head):
    t = make_translation(2)
    loss = loss_of(detach=detach, head=head, in_channels=8, hidden=16)
    loss(t).backward()
    for side, tensor in (("condition", t.condition_descriptors), ("image", t.truth_descriptors)):
        if side == detach:
            assert tensor.grad is None
        else:
            assert tensor.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())


def test_margin_schedule(make_translation):
    loss = loss_of(margin=0.2, margin_schedule={"begin": 0.4, "end": 0.8})
    found = [loss.current_margin(p) for p in (0.0, 0.4, 0.5, 0.6, 0.8, 1.0)]
    assert found == pytest.approx([0, 0, 0.05, 0.1, 0.2, 0.2])
    step = loss_of(margin=0.2, margin_schedule={"begin": 0.5, "end": 0.5})
    assert [step.current_margin(p) for p in (0.49, 0.5)] == [0, 0.2]
    assert [loss_of().current_margin(p) for p in (0.0, 1.0)] == [0.25, 0.25]
    t = make_translation(2)
    for progress in (0.1, 0.6):
        torch.testing.assert_close(
            loss(replace(t, progress=progress)),
            loss_of(margin=loss.current_margin(progress))(t),
        )


def marked(batch, side):
    """Maps whose two channels tell the image and the position."""
    positions = torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side)
    images = torch.arange(batch, dtype=torch.float32).view(batch, 1, 1, 1)
    return torch.cat([positions.expand(batch, -1, -1, -1), images.expand(-1, 1, side, side)], 1)


@pytest.mark.parametrize("shared", [True, False])
def test_drawn_positions_are_distinct_and_the_same_on_both_sides(shared):
    torch.manual_seed(0)
    loss = loss_of(positions=10, shared_positions=shared)
    x, y = loss._sample(marked(3, 5), marked(3, 5))
    assert torch.equal(x, y)
    assert x.shape == (3, 10, 2)
    assert (x[:, :, 1] == torch.arange(3).view(3, 1)).all()
    drawn = x[:, :, 0]
    assert all(len(row.unique()) == 10 for row in drawn)
    assert (drawn == drawn[0]).all().item() is shared
    again, _ = loss._sample(marked(3, 5), marked(3, 5))
    assert not torch.equal(again, x)


@pytest.mark.parametrize("positions", [None, 25, 64])
def test_all_positions_where_the_map_has_no_more(positions):
    x, _ = loss_of(positions=positions)._sample(marked(2, 5), marked(2, 5))
    assert x[1, :, 0].tolist() == list(range(25))


def test_head_is_a_two_layer_mlp_on_scaled_features_of_both_sides(make_translation):
    t = make_translation(2)
    loss = loss_of(head="mlp", in_channels=8, hidden=16)
    first_w, first_b, second_w, second_b = loss.parameters()
    assert [tuple(p.shape) for p in loss.parameters()] == [(16, 8), (16,), (16, 16), (16,)]

    def embed(features_map):
        hidden = (rows(features_map) * 8**0.5 @ first_w.T + first_b).clamp_min(0)
        return hidden @ second_w.T + second_b

    expected = marginal_contrastive(
        embed(t.condition_descriptors), embed(t.truth_descriptors), 0.07, 0.25
    )
    torch.testing.assert_close(loss(t), expected)
    two = loss_of(head="mlp", in_channels=8, hidden=16, shared_head=False)
    assert len(list(two.parameters())) == 8
    two(t).backward()
    assert all(p.grad.abs().sum() > 0 for p in two.parameters())


def test_full_precision_under_autocast(make_translation):
    t = make_translation(2)
    loss = loss_of(head="mlp", in_channels=8, hidden=16)
    expected = loss(t)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = loss(t)
    assert torch.equal(got, expected)


def test_released_form():
    loss = MarginalContrastiveLoss.released()
    assert (loss.weight, loss.temperature, loss.margin, loss.positions) == (0.01, 0.05, 0.25, 64)
    assert (loss.detach, loss.head, loss.shared_positions) == ("image", None, True)
    assert loss.negatives == "image"
    assert loss.direction == "condition_to_image"
    assert MarginalContrastiveLoss.released(weight=1.0).weight == 1


def test_value_and_gradient_of_the_released_form(make_translation):
    """Rows of [positive with margin, negatives of the image] / 0.05, the first one being right."""
    t = make_translation(2)
    condition = torch.randn(2, 6, 10, 10, dtype=torch.float64, requires_grad=True)
    image = (condition.detach() + torch.randn_like(condition)).requires_grad_()
    t = replace(t, condition_features=condition, truth_features=image)
    got = MarginalContrastiveLoss.released()(t)
    (ours,) = torch.autograd.grad(got, condition, retain_graph=True)
    reached = ours.flatten(2).abs().sum(dim=1) > 0
    assert torch.equal(reached[0], reached[1])  # one draw for the whole batch
    drawn = reached[0].nonzero().flatten()
    assert len(drawn) == 64
    costs = []
    for b in range(2):
        x, y = (m[b].flatten(1).T[drawn] for m in (condition, image.detach()))
        x, y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
        for i in range(64):
            cosine = x[i] @ y[i]
            own = cosine * math.cos(0.25) - (1 - cosine**2).sqrt() * math.sin(0.25)
            others = [x[i] @ y[j] for j in range(64) if j != i]
            row = torch.stack([own, *others]) / 0.05
            costs.append(row.logsumexp(0) - row[0])
    expected = torch.stack(costs).mean()
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)
    (theirs,) = torch.autograd.grad(expected, condition)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10)
    (none,) = torch.autograd.grad(got, image, allow_unused=True)
    assert none is None


def test_default_is_the_supplements_form():
    loss = MarginalContrastiveLoss(in_channels=8)
    assert loss.temperature == 0.07
    assert [m.out_features for m in loss.head.layers[::2]] == [256, 256]
    assert loss.detach is None
    assert loss.requires == {"truth", "truth_features"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0}, "temperature is 0"),
        ({"margin": -0.1}, "margin is -0.1"),
        ({"margin": 1.6}, "margin is 1.6"),
        ({"positions": 0}, "positions is 0"),
        ({"head": "cnn"}, "head is 'cnn'.*'mlp', None"),
        ({"detach": "both"}, "detach is 'both'"),
        ({"direction": "up"}, "direction is 'up'"),
        ({"negatives": "all"}, "negatives is 'all'"),
        ({"features": "vgg"}, "features is 'vgg'"),
        ({"margin_schedule": {"begin": 0.7, "end": 0.4}}, "margin_schedule"),
        ({"margin_schedule": {"start": 0.7}}, "margin_schedule"),
        ({"head": "mlp"}, "no in_channels"),
        ({"weight": -1}, "weight is -1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        loss_of(**settings)


class HalfMargin(MarginalContrastiveLoss):
    """Another margin: the positive pair counts a share of its cosine."""

    no_margin = 1.0
    margin_range = (0.0, 1.0)
    margin_unit = "a share in [0, 1]"

    def apply_margin(self, cosine, margin):
        return cosine if margin == 1 else cosine * margin


def test_a_subclass_brings_its_own_margin(make_translation):
    t = make_translation(2)
    loss = HalfMargin(head=None, margin=0.5)
    x, y = rows(t.condition_descriptors), rows(t.truth_descriptors)
    logits = F.normalize(x, dim=2) @ F.normalize(y, dim=2).transpose(1, 2)
    eye = torch.eye(x.shape[1])
    expected = F.cross_entropy(
        ((logits * (1 - eye) + 0.5 * logits * eye) / 0.07).flatten(0, 1),
        torch.arange(x.shape[1]).repeat(2),
    )
    torch.testing.assert_close(loss(t), expected)
    assert torch.equal(HalfMargin(head=None, margin=1.0)(t), loss_of(margin=0.0)(t))
    scheduled = HalfMargin(head=None, margin=0.5, margin_schedule={"begin": 0.2, "end": 0.6})
    found = [scheduled.current_margin(p) for p in (0.0, 0.2, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([1, 1, 0.75, 0.5, 0.5])
    with pytest.raises(ConfigError, match=r"HalfMargin.margin is 1.5; allowed: a share in \[0, 1]"):
        HalfMargin(head=None, margin=1.5)
