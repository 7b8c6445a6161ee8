from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses import ContextualLoss, contextual_loss
from mcltoolkit.structures import ImageFeatures


def plain(source, target, centre, bandwidth):
    """The formula of one image, position by position."""
    x = source.flatten(1).T.tolist()
    y = target.flatten(1).T.tolist()
    channels = len(y[0])
    if centre == "channels":
        means = [sum(v) / channels for v in y]
        x = [[c - m for c in v] for v, m in zip(x, means, strict=True)]
        y = [[c - m for c in v] for v, m in zip(y, means, strict=True)]
    else:
        means = [sum(v[c] for v in y) / len(y) for c in range(channels)]
        x = [[c - m for c, m in zip(v, means, strict=True)] for v in x]
        y = [[c - m for c, m in zip(v, means, strict=True)] for v in y]

    def cosine(a, b):
        dot = sum(p * q for p, q in zip(a, b, strict=True))
        return dot / math.sqrt(sum(p * p for p in a)) / math.sqrt(sum(q * q for q in b))

    best = []
    for a in x:
        distances = [1 - cosine(a, b) for b in y]
        relative = [d / (min(distances) + 1e-3) for d in distances]
        weights = [math.exp((1 - r) / bandwidth) for r in relative]
        best.append(max(weights) / sum(weights))
    return -math.log(sum(best) / len(best))


@pytest.mark.parametrize("bandwidth", [0.1, 0.5])
@pytest.mark.parametrize("centre", ["channels", "positions"])
def test_equals_the_plain_formula(centre, bandwidth):
    torch.manual_seed(0)
    source = torch.randn(3, 5, 2, 4, dtype=torch.float64)
    target = torch.randn(3, 5, 2, 4, dtype=torch.float64)
    got = contextual_loss(source, target, centre, bandwidth)
    expected = [plain(s, t, centre, bandwidth) for s, t in zip(source, target, strict=True)]
    assert got.tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("centre", ["channels", "positions"])
def test_gradient_is_that_of_finite_differences(centre):
    torch.manual_seed(1)
    source = torch.randn(2, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 4, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: contextual_loss(s, target, centre), source)


def test_near_zero_for_a_copy_and_blind_to_order_only_with_centre_positions():
    torch.manual_seed(2)
    target = torch.randn(1, 16, 4, 4)
    assert contextual_loss(target, target).item() == pytest.approx(0, abs=1e-3)
    shuffled = target.flatten(2)[:, :, torch.randperm(16)].view_as(target)
    source = torch.randn(1, 16, 4, 4)
    torch.testing.assert_close(
        contextual_loss(source, shuffled, "positions"), contextual_loss(source, target, "positions")
    )


def test_positions_takes_maps_of_two_sizes_and_channels_refuses_them():
    source, target = torch.randn(1, 4, 2, 2), torch.randn(1, 4, 3, 2)
    assert contextual_loss(source, target, "positions").shape == (1,)
    with pytest.raises(ConfigError, match="one size"):
        contextual_loss(source, target, "channels")


@pytest.mark.parametrize("case", ["equal", "zero", "constant"])
def test_finite_for_degenerate_features(case):
    source = {
        "equal": torch.randn(1, 4, 3, 3),
        "zero": torch.zeros(1, 4, 3, 3),
        "constant": torch.ones(1, 4, 3, 3),
    }[case].requires_grad_()
    loss = contextual_loss(source, source.detach().clone()).sum()
    loss.backward()
    assert loss.isfinite()
    assert source.grad.isfinite().all()


def test_layers_are_weighted_and_pooled_as_released(make_translation):
    torch.manual_seed(3)
    sizes = {"relu5_2": 2, "relu4_2": 2, "relu3_2": 4}
    maps = {
        role: {layer: torch.randn(2, 6, s, s) for layer, s in sizes.items()}
        for role in ("fake", "exemplar")
    }
    translation = make_translation(2)
    translation.image_features = ImageFeatures(
        lambda role: maps[role], {"fake": "fake", "exemplar": "exemplar"}
    )
    x, y = maps["fake"], maps["exemplar"]
    expected = (
        8 * contextual_loss(x["relu5_2"], y["relu5_2"]).mean()
        + 4 * contextual_loss(x["relu4_2"], y["relu4_2"]).mean()
        + 2 * contextual_loss(F.avg_pool2d(x["relu3_2"], 2), F.avg_pool2d(y["relu3_2"], 2)).mean()
    )
    loss = ContextualLoss()
    assert loss.weight == 10
    assert loss.image_layers == set(sizes)
    torch.testing.assert_close(loss(translation), expected)


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="centre is 'rows'"):
        ContextualLoss(centre="rows")
    with pytest.raises(ConfigError, match="bandwidth"):
        ContextualLoss(bandwidth=0)
    with pytest.raises(ConfigError, match="layers is empty"):
        ContextualLoss(layers={})
