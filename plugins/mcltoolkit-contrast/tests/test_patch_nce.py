from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_contrast.patch_nce import LAYERS, PatchNCELoss

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses import MarginalContrastiveLoss
from mcltoolkit.losses.vgg import WIDTHS

TWO = {"relu1_1": 0.25, "relu2_1": 1.0}
NARROW = 16  # WIDTHS // 16 are the channels of the layers in conftest.py


def loss_of(**settings):
    return PatchNCELoss(**{"head": None, "layers": TWO, "width_divisor": NARROW, **settings})


def rows(features_map):
    return features_map.flatten(2).transpose(1, 2)


def plain(anchor, key, temperature=0.07):
    """InfoNCE with negatives of the same image, (B,), from (B, N, D)."""
    logits = F.normalize(anchor, dim=2) @ F.normalize(key, dim=2).transpose(1, 2)
    target = torch.arange(anchor.shape[1]).expand(len(anchor), -1)
    return F.cross_entropy(
        logits.transpose(1, 2) / temperature, target, reduction="none"
    ).mean(dim=1)  # fmt: skip


def test_output_against_truth_summed_over_layers(make_translation):
    t = make_translation(2)
    fake, truth = t.image_features.of("fake"), t.image_features.of("truth")
    expected = sum(
        weight * plain(rows(fake[name]), rows(truth[name])).mean() for name, weight in TWO.items()
    )
    loss = loss_of()
    assert loss.requires == {"truth", "image_features"}
    assert loss.image_layers == set(TWO)
    torch.testing.assert_close(loss(t), expected)


@pytest.mark.parametrize("features", ["descriptors", "encoder"])
def test_condition_against_truth_is_the_toolkits_contrast_without_margin(
    make_translation, features
):
    t = make_translation(2)
    loss = loss_of(features=features, detach_keys=False)
    assert loss.requires == {"truth", "truth_features"}
    assert loss.image_layers == frozenset()
    expected = MarginalContrastiveLoss(head=None, margin=0.0, features=features)(t)
    torch.testing.assert_close(loss(t), expected)


def test_head_is_a_two_layer_mlp_a_layer_on_unit_features(make_translation):
    t = make_translation(2)
    loss = loss_of(head="mlp", hidden=12)
    assert {n: h.layers[0].in_features for n, h in loss.heads.items()} == {
        "relu1_1": WIDTHS[0] // NARROW,
        "relu2_1": WIDTHS[1] // NARROW,
    }
    fake, truth = t.image_features.of("fake"), t.image_features.of("truth")
    expected = 0.0
    for name, weight in TWO.items():
        first_w, first_b, second_w, second_b = loss.heads[name].parameters()

        def embed(features_map, a=first_w, b=first_b, c=second_w, d=second_b):
            x = F.normalize(rows(features_map), dim=2) * features_map.shape[1] ** 0.5
            return (x @ a.T + b).clamp_min(0) @ c.T + d

        expected = expected + weight * plain(embed(fake[name]), embed(truth[name])).mean()
    torch.testing.assert_close(loss(t), expected)
    loss(t).backward()
    assert t.fake.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())


@pytest.mark.parametrize("detached", [True, False])
def test_gradient_through_the_keys_only_if_asked_for(make_translation, detached):
    t = make_translation(2)
    loss = loss_of(
        features="descriptors", detach_keys=detached, head="mlp", hidden=12, in_channels=8
    )
    loss(t).backward()
    assert t.condition_descriptors.grad.abs().sum() > 0
    assert (t.truth_descriptors.grad is None) is detached
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())


def test_negatives_of_the_whole_batch(make_translation):
    t = make_translation(3)
    loss = loss_of(features="encoder", negatives="batch")
    x, y = rows(t.condition_features), rows(t.truth_features)
    expected = plain(x.flatten(0, 1)[None], y.flatten(0, 1)[None]).mean()
    torch.testing.assert_close(loss(t), expected)


@pytest.mark.parametrize("negatives", ["image", "batch"])
def test_paired_samples_alone(make_translation, negatives):
    t = make_translation(3)
    loss = loss_of(paired_only=True, layers={"relu2_1": 1.0}, negatives=negatives)
    assert loss.paired_only
    assert not loss_of().paired_only
    everywhere = loss_of(layers={"relu2_1": 1.0}, negatives=negatives)
    anchor = rows(t.image_features.of("fake")["relu2_1"])
    key = rows(t.image_features.of("truth")["relu2_1"])
    each = everywhere.contrast(anchor, key).mean(dim=1)
    torch.testing.assert_close(loss(t), (each[0] + each[2]) / 2)
    none = replace(t, batch=replace(t.batch, paired=torch.zeros(3, dtype=torch.bool)))
    value = loss(none)
    assert value == 0
    value.backward()


def test_positions_are_drawn_for_each_layer(make_translation):
    t = make_translation(2)
    loss = loss_of(positions=5)
    torch.manual_seed(0)
    first = loss(t)
    torch.manual_seed(0)
    assert torch.equal(loss(t), first)
    assert not torch.equal(loss(t), first)
    loss(t).backward()
    assert t.fake.grad.isfinite().all()


def test_same_value_under_autocast(make_translation):
    t = make_translation(2)
    for settings in ({}, {"features": "descriptors", "in_channels": 8}):
        loss = loss_of(head="mlp", hidden=12, **settings)
        expected = loss(t)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(loss(t), expected)


@pytest.mark.parametrize("case", ["equal", "zero"])
def test_finite_where_images_are_constant(make_translation, case):
    t = make_translation(2)
    flat = torch.zeros(2, 6, 4, 4) if case == "zero" else torch.ones(2, 6, 4, 4)
    flat.requires_grad_()
    t = replace(t, condition_features=flat, truth_features=flat.detach().clone())
    value = loss_of(features="encoder")(t)
    value.backward()
    assert value.isfinite()
    assert flat.grad.isfinite().all()


def test_gradcheck(make_translation):
    t = make_translation(1)
    truth = torch.randn(1, 3, 2, 3, dtype=torch.float64)
    loss = loss_of(features="encoder", temperature=0.3)

    def value(features):
        return loss(replace(t, condition_features=features, truth_features=truth))

    assert torch.autograd.gradcheck(
        value, torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    )


def test_defaults_are_those_of_cut_on_the_layers_that_monce_releases():
    loss = PatchNCELoss()
    assert (loss.weight, loss.temperature, loss.positions) == (1.0, 0.07, 256)
    assert (loss.detach_keys, loss.negatives) == (True, "image")
    assert loss.layers == LAYERS
    assert [h.layers[0].in_features for h in loss.heads.values()] == list(WIDTHS)
    assert [h.layers[2].out_features for h in loss.heads.values()] == [256] * 5


def test_heads_of_another_width_are_named(make_translation):
    with pytest.raises(ConfigError, match=r"'relu1_1' has 4 channels.*built for 64.*width_divisor"):
        loss_of(head="mlp", width_divisor=1)(make_translation(1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "pixels"}, "PatchNCELoss.features is 'pixels'"),
        ({"head": "cnn"}, "head is 'cnn'.*'mlp', None"),
        ({"negatives": "all"}, "negatives is 'all'"),
        ({"temperature": 0}, "temperature is 0"),
        ({"positions": 0}, "positions is 0"),
        ({"hidden": 0}, "hidden is 0"),
        ({"width_divisor": 3}, "width_divisor is 3; allowed: divisors of 64"),
        ({"layers": {}}, r"layers is \{\}"),
        ({"layers": {"relu9_1": 1.0}}, "layers is {'relu9_1': 1.0}"),
        ({"layers": {"relu1_1": -1.0}}, "layers is {'relu1_1': -1.0}"),
        ({"features": "encoder", "head": "mlp"}, "features='encoder' but no in_channels"),
        ({"weight": -1}, "weight is -1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        loss_of(**settings)
