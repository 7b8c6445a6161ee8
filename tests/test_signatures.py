import functools
import re
from pathlib import Path

import pytest
from torch import nn

from mcltoolkit.losses.base import AdversarialTerm, Loss
from mcltoolkit.plugins import load_plugins
from mcltoolkit.registry import REGISTRIES
from mcltoolkit.signatures import CALLS, SignatureError, check_components


def made(forward, init=None, base=nn.Module, **attributes):
    """A class with these methods."""
    methods = {"forward": forward} if forward else {}
    if init:
        methods["__init__"] = init
    return type("Made", (base,), {**methods, **attributes})


def any_init(self, **settings):
    pass


FINE = [
    ("encoders", made(lambda self, image: 0, lambda self, in_channels, width: None)),
    ("encoders", made(lambda self, image, scale=2: 0, any_init)),
    ("encoders", made(lambda self, *images: 0, any_init)),
    ("encoders", made(staticmethod(lambda image: 0), any_init)),
    ("encoders", type("Called", (), {"__init__": any_init, "__call__": lambda self, x: 0})),
    ("correspondences", made(lambda self, c, e, batch, outputs=frozenset(): 0, any_init)),
    ("correspondences", made(lambda self, features: 0, lambda self, in_channels: None)),
    ("generators", made(lambda self, warped, condition, more=None: 0, any_init)),
    ("discriminators", made(lambda self, condition, image: 0, any_init)),
    ("losses", made(lambda self, translation: 0, base=Loss)),
    (
        "losses",
        made(
            lambda self, translation: 0,
            lambda self, in_channels, weight=1.0: None,
            base=Loss,
            needs_channels=True,
        ),
    ),
    ("encoders", functools.partial(nn.Conv2d, out_channels=3)),
    ("metrics", made(None)),
]
WRONG = [
    ("encoders", made(None, any_init), "Made has no forward; needed is forward(x)"),
    ("encoders", made(lambda self: 0, any_init), "cannot be called as forward(x)"),
    ("encoders", made(lambda self, image: 0), "Made() cannot be built with in_channels="),
    (
        "encoders",
        made(lambda self, image: 0, lambda self, channels: None),
        "Made(channels) cannot be built with in_channels= (got an unexpected keyword argument",
    ),
    (
        "correspondences",
        made(lambda self, condition, exemplar: 0, any_init),
        "forward(condition_descriptors, exemplar_descriptors, batch, outputs) of a correspondence",
    ),
    (
        "correspondences",
        made(lambda self, c, e, batch, outputs: 0, lambda self, in_channels: None),
        "cannot be built with in_channels=, condition_channels= of a correspondence",
    ),
    (
        "generators",
        made(lambda self, warped: 0, any_init),
        "Made.forward(self, warped) cannot be called as forward(warped, condition)",
    ),
    ("discriminators", made(lambda self, image: 0, any_init), "forward(condition, image)"),
    ("losses", made(lambda self, translation: 0, any_init), "is no mcltoolkit.losses.base.Loss"),
    ("losses", made(lambda self, fake, real: 0, base=Loss), "forward(translation)"),
    (
        "losses",
        made(lambda self, translation: 0, lambda self, scale: None, base=Loss),
        "cannot be built with weight=",
    ),
    (
        "losses",
        made(lambda self, translation: 0, base=Loss, needs_channels=True),
        "cannot be built with weight=, in_channels=",
    ),
    (
        "losses",
        made(
            lambda self, translation: 0,
            base=AdversarialTerm,
            discriminator_loss=lambda self, fake: 0,
        ),
        "discriminator_loss(fake, real)",
    ),
]


@pytest.mark.parametrize(("kind", "component"), FINE)
def test_what_the_toolkit_can_call_passes(kind, component):
    check_components({kind: {"Made": component}})


@pytest.mark.parametrize(("kind", "component", "said"), WRONG)
def test_what_it_cannot_call_is_named_with_the_file(kind, component, said):
    with pytest.raises(SignatureError, match=re.escape(said)) as caught:
        check_components({kind: {"Made": component}})
    assert str(caught.value).startswith(f"{kind[:-1]}" if kind != "losses" else "loss")
    assert "'Made'" in str(caught.value)


class Elsewhere(nn.Module):
    pass


def test_the_place_is_the_class():
    with pytest.raises(SignatureError) as caught:
        check_components({"encoders": {"Elsewhere": Elsewhere}})
    file, line = caught.value.place.rsplit(":", 1)
    assert file == __file__
    assert Path(file).read_text().splitlines()[int(line) - 1].startswith("class Elsewhere")


def test_every_component_of_the_toolkit_passes():
    load_plugins()
    members = {kind: dict(REGISTRIES[kind].module_dict) for kind in CALLS}
    assert sum(map(len, members.values())) > 15
    check_components(members)
