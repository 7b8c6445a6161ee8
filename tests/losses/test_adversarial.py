from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.losses import (
    FeatureMatchingLoss,
    HingeAdversarialLoss,
    LSGANLoss,
    VanillaGANLoss,
)
from mcltoolkit.structures import DiscriminatorPass


def scores(*scales):
    return DiscriminatorPass([[torch.tensor(s).view(1, 1, 1, -1)] for s in scales])


FAKE = scores([-2.0, 0.5], [3.0, 1.0, -1.0, 1.0])
REAL = scores([0.0, 2.0], [1.0, 1.0, 1.0, -1.0])


def softplus(x):
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("kind", "generator", "discriminator"),
    [
        # scale 1: fake mean -0.75, scale 2: 1.0
        (
            HingeAdversarialLoss,
            -(-0.75 + 1.0) / 2,
            # scale 1: (0 + 1.5) / 2 + (1 + 0) / 2; scale 2: (4 + 2 + 0 + 2) / 4 + 2 / 4
            ((0.75 + 0.5) + (2.0 + 0.5)) / 2,
        ),
        (
            LSGANLoss,
            ((9 + 0.25) / 2 + (4 + 0 + 4 + 0) / 4) / 2,
            (((4 + 0.25) / 2 + (1 + 1) / 2) + (12 / 4 + 4 / 4)) / 2,
        ),
        (
            VanillaGANLoss,
            (
                (softplus(2) + softplus(-0.5)) / 2
                + (softplus(-3) + 2 * softplus(-1) + softplus(1)) / 4
            )
            / 2,
            (
                (softplus(-2) + softplus(0.5)) / 2
                + (softplus(0) + softplus(-2)) / 2
                + (softplus(3) + 2 * softplus(1) + softplus(-1)) / 4
                + (3 * softplus(-1) + softplus(1)) / 4
            )
            / 2,
        ),
    ],
)
def test_known_answers(make_translation, kind, generator, discriminator):
    loss = kind()
    assert loss.weight == 10
    assert "discriminator" in loss.requires
    translation = make_translation(1, fake_pass=FAKE)
    assert loss(translation).item() == pytest.approx(generator, rel=1e-6)
    assert loss.discriminator_loss(FAKE, REAL).item() == pytest.approx(discriminator, rel=1e-6)


def test_vanilla_is_cross_entropy_of_logits():
    fake, real = torch.randn(2, 1, 3, 3) * 5, torch.randn(2, 1, 3, 3) * 5
    expected = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    expected = expected + F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    got = VanillaGANLoss().discriminator_loss(
        DiscriminatorPass([[fake]]), DiscriminatorPass([[real]])
    )
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("kind", [HingeAdversarialLoss, LSGANLoss, VanillaGANLoss])
def test_a_generator_step_raises_the_fake_scores(make_translation, kind):
    score = torch.full((2, 1, 3, 3), -0.3, requires_grad=True)
    translation = make_translation(2, fake_pass=DiscriminatorPass([[score]]))
    kind()(translation).backward()
    assert (score.grad < 0).all()


def test_feature_matching_by_hand_leaves_out_the_scores_and_the_real_side(make_translation):
    translation = make_translation(2)
    for scale in (*translation.fake_pass.scales, *translation.real_pass.scales):
        for layer in scale:
            layer.requires_grad_()
    loss = FeatureMatchingLoss()(translation)
    expected = 0.0
    for fake, real in zip(translation.fake_pass.scales, translation.real_pass.scales, strict=True):
        expected += (fake[0] - real[0]).abs().mean().item() / 2
        expected += (fake[1] - real[1]).abs().mean().item() / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    for scale in translation.fake_pass.scales:
        assert scale[0].grad.abs().sum() > 0
        assert scale[-1].grad is None
    assert all(layer.grad is None for scale in translation.real_pass.scales for layer in scale)
