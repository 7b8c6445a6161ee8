"""What the interfaces say is what the translator does, and what the built-in components are."""

import inspect

import pytest
from torch import nn

from mcltoolkit import interfaces
from mcltoolkit.correspondence import CosineCorrespondence, SelfCorrelationMap
from mcltoolkit.discriminators import MultiScaleDiscriminator
from mcltoolkit.encoders import DomainEncoder
from mcltoolkit.generators import SPADEGenerator
from mcltoolkit.models import translator

BUILTIN = {
    "encoder": (interfaces.Encoder, DomainEncoder, {"base_width": 4}),
    "descriptor": (interfaces.Descriptor, SelfCorrelationMap, {}),
    "correspondence": (interfaces.Correspondence, CosineCorrespondence, {"embed": 4}),
    "generator": (interfaces.Generator, SPADEGenerator, {"base_width": 4, "ups": 1}),
    "discriminator": (interfaces.Discriminator, MultiScaleDiscriminator, {"base_width": 4}),
}


@pytest.mark.parametrize("kind", BUILTIN)
def test_builtin_components_are_of_their_interface(kind):
    protocol, component, settings = BUILTIN[kind]
    filled = dict.fromkeys(interfaces.FILLED_IN[kind], 6)
    built = component(**filled, **settings)
    assert isinstance(built, nn.Module)
    assert isinstance(built, protocol)
    theirs = inspect.signature(protocol.forward).parameters
    ours = inspect.signature(component.forward).parameters
    positional = [name for name in theirs if name != "self"]
    assert len(ours) - 1 >= len(positional)


def test_every_interface_has_its_filled_in_arguments():
    assert set(interfaces.FILLED_IN) == set(BUILTIN)


def test_the_translator_fills_in_what_the_interfaces_say(monkeypatch, tiny_gan):
    seen = {}
    build = translator.build_component

    def watch(registry, settings, where, **filled):
        seen[where] = set(filled)
        return build(registry, settings, where, **filled)

    monkeypatch.setattr(translator, "build_component", watch)
    tiny_gan()
    kinds = {
        "model.condition_encoder": "encoder",
        "model.image_encoder": "encoder",
        "model.self_correlation": "descriptor",
        "model.correspondence": "correspondence",
        "model.generator": "generator",
    }
    assert seen == {where: set(interfaces.FILLED_IN[kind]) for where, kind in kinds.items()}
