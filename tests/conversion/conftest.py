import os
from pathlib import Path

import pytest

from mcltoolkit.models import Translator
from mcltoolkit.registry import DISCRIMINATORS, build_component

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def reference_names() -> Path:
    """The folder with the released files' names and shapes, which is no part of the repository."""
    named = os.environ.get("MCLTOOLKIT_REFERENCE")
    shared = [root / "shared" / "reference" for root in (ROOT, *ROOT.parents)]
    for place in [Path(named)] if named else shared:
        if (place / "cocosnet_state_dict").is_dir():
            return place / "cocosnet_state_dict"
    pytest.skip(
        "no folder shared/reference with the released names beside the checkout; name one that "
        "holds cocosnet_state_dict/*.tsv in MCLTOOLKIT_REFERENCE"
    )


@pytest.fixture
def build():
    """Translator and discriminator of a converted checkpoint, in double precision."""

    def networks(checkpoint):
        model, state = checkpoint["config"]["model"], checkpoint["state_dict"]
        names = ("condition_channels", "condition_encoder", "image_encoder", "self_correlation")
        parts = {name: model[name] for name in (*names, "correspondence", "generator")}
        channels = model["condition_channels"] + 3
        made = {
            "translator": Translator(**parts),
            "discriminator": build_component(
                DISCRIMINATORS, model["discriminator"], "here", in_channels=channels
            ),
        }
        for part, module in made.items():
            own = {k.partition(".")[2]: v for k, v in state.items() if k.startswith(part)}
            module.load_state_dict(own)
            module.double().eval()
        return made["translator"], made["discriminator"]

    return networks
