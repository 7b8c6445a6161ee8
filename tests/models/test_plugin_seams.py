"""What a model can be made of beyond the published parts: no encoders, wider guidance, a generator
and a correspondence that make outputs for losses of their own."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses.base import Loss
from mcltoolkit.models import Translator
from mcltoolkit.structures import Alignment, Painting


@dataclass
class SamePlace:
    grid: tuple
    exemplar_grid: tuple


class Overlay(nn.Module):
    """The exemplar as it lies, and its negative beside it."""

    needs_features = False
    provides = frozenset({"negative"})
    guidance_channels = 6

    def __init__(self, in_channels, condition_channels):
        super().__init__()
        self.in_channels, self.condition_channels = in_channels, condition_channels

    def forward(self, condition_descriptors, exemplar_descriptors, batch, outputs=frozenset()):
        assert condition_descriptors is None
        assert exemplar_descriptors is None
        size = tuple(batch.exemplar.shape[-2:])
        extras = {"negative": -batch.exemplar} if "negative" in outputs else {}
        guidance = torch.cat([batch.exemplar, -batch.exemplar], 1)
        return Alignment(SamePlace(size, size), batch.exemplar, guidance=guidance, extras=extras)


class Mixer(nn.Module):
    provides = frozenset({"style"})

    def __init__(self, context_channels):
        super().__init__()
        self.paint = nn.Conv2d(context_channels, 3, 1)

    def forward(self, warped, condition):
        image = torch.tanh(self.paint(torch.cat([warped, condition], 1)))
        return Painting(image, {"style": warped.mean((2, 3))})


class Reader(Loss):
    """Reads what the two parts made."""

    requires = frozenset({"negative", "style"})

    def forward(self, translation):
        negative, style = translation.need("negative"), translation.need("style")
        return (translation.fake * negative).mean() + style.square().mean()


BARE = dict(
    type="ExemplarGAN",
    condition_channels=6,
    condition_encoder=None,
    image_encoder=None,
    correspondence=dict(type=Overlay),
    generator=dict(type=Mixer),
    losses=dict(reader=dict(type=Reader)),
)


@pytest.fixture
def build():
    from mcltoolkit.registry import MODELS

    return lambda **changes: MODELS.build({**BARE, **changes})


def test_a_model_without_encoders(build, scenes):
    model = build()
    assert model.translator.correspondence.in_channels == 0
    assert model.translator.generator.paint.in_channels == 6 + 6, "guidance and condition"
    batch = scenes().with_one_hot(6)
    translation, losses = model.generator_losses(batch)
    assert translation.condition_features is None
    assert translation.exemplar_descriptors is None
    torch.testing.assert_close(translation.need("negative"), -batch.exemplar)
    style = torch.cat([batch.exemplar, -batch.exemplar], 1).mean((2, 3))
    expected = (translation.fake * -batch.exemplar).mean() + style.square().mean()
    torch.testing.assert_close(losses["reader"], expected)


def test_extras_are_made_only_when_a_loss_reads_them(build, scenes):
    batch = scenes().with_one_hot(6)
    translation = build(losses={}).translator(batch)
    assert "negative" not in translation.extras
    with pytest.raises(AttributeError, match="'negative'.*`requires`"):
        translation.need("negative")


def test_losses_that_read_what_nothing_makes(build, tiny_gan):
    with pytest.raises(ConfigError, match=r"\['reader'\] read 'negative'.*set these losses"):
        tiny_gan({"model.losses.reader": dict(type=Reader)})
    consistency = dict(type="FeatureConsistencyLoss")
    with pytest.raises(ConfigError, match=r"\['fcst'\] read 'truth_features'"):
        build(losses=dict(fcst=consistency))


def test_a_correspondence_that_matches_features_needs_encoders(build):
    with pytest.raises(ConfigError, match="CosineCorrespondence.*model.image_encoder are None"):
        build(correspondence=dict(type="CosineCorrespondence", embed=4, blocks=0))


def test_a_correspondence_that_does_not_make_what_a_loss_reads(build, scenes):
    model = build(losses=dict(cycle=dict(type="CycleLoss")))
    with pytest.raises(ConfigError, match=r"\['cycle'\] read 'cycle'.*\(Overlay\) does not make"):
        model.generator_losses(scenes().with_one_hot(6))


@pytest.mark.parametrize("missing", ["condition_encoder", "image_encoder"])
def test_one_encoder_alone(build, missing):
    encoder = dict(type="DomainEncoder", base_width=4)
    settings = {"condition_encoder": encoder, "image_encoder": encoder, missing: None}
    with pytest.raises(ConfigError, match=f"model.{missing} is None; set both"):
        build(**settings)


def test_no_self_correlation_without_features(build):
    settings = {k: v for k, v in BARE.items() if k not in ("type", "losses")}
    with pytest.raises(ConfigError, match="no encoders"):
        Translator(**settings, self_correlation=dict(type="SelfCorrelationMap"))
