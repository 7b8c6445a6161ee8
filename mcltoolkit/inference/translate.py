"""One translation: a condition painted in the style of an exemplar."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from mcltoolkit.errors import ConfigError
from mcltoolkit.inference.inputs import (
    Source,
    check_pair,
    choose_size,
    condition_fields,
    exemplar_tensor,
    read_condition,
    read_exemplar,
)
from mcltoolkit.models import Translator
from mcltoolkit.structures import Batch, Translation


@torch.no_grad()
def translate(
    model: Translator,
    config: Mapping[str, Any],
    condition: Source,
    exemplar: Source,
    exemplar_condition: Source | None = None,
    size: tuple[int, int] | None = None,
    say: Callable[[str], object] | None = None,
) -> Translation:
    """Paint `condition` in the style of `exemplar`.

    Args:
        model, config: from `load_model`.
        condition: label file, `.npy` file of C x H x W numbers, or an array of either kind.
        exemplar: picture file, or an array (H, W, 3) uint8.
        exemplar_condition: as `condition`; needed where the correspondence mixes it in.
        size: (height, width) to translate at; default see `choose_size`.
        say: called with one line that tells at which size the translation runs, and why.

    Returns:
        The forward pass of a batch of one: `fake` is the output, `alignment.warped` the exemplar
        in the condition's layout, both in [-1, 1].

    Raises:
        DataError: an input that the model cannot take.
        ConfigError: a size that the networks cannot take, or a missing exemplar condition.
    """
    channels, settings = model.condition_channels, config["inference"]
    if exemplar_condition is None and getattr(model.correspondence, "mask_mix", False):
        raise ConfigError(
            "this model compares the exemplar's condition too (mask_mix); give it with "
            "--exemplar-condition"
        )
    layout = read_condition(condition, channels, settings)
    picture = read_exemplar(exemplar)
    (height, width), why = choose_size(size, layout, picture, stride(model), settings["size"])
    fields = condition_fields(layout, (height, width))
    if exemplar_condition is not None:
        theirs = read_condition(exemplar_condition, channels, settings, "exemplar condition")
        check_pair(picture, theirs, (exemplar, exemplar_condition))
        fields |= condition_fields(theirs, (height, width), "exemplar_")
    batch = Batch(
        names=["condition"],
        exemplar=exemplar_tensor(picture, (height, width)),
        paired=torch.tensor([False]),
        exemplar_names=["exemplar"],
        **fields,  # type: ignore[arg-type]
    )
    batch.check(channels)
    device = next(model.parameters()).device
    if say is not None:
        say(f"translated at {height}x{width}: {why}")
    translation: Translation = model(batch.to(device).with_one_hot(channels))
    return translation


def stride(model: Translator) -> int:
    """What height and width must be multiples of."""
    parts = (
        model.condition_encoder,
        model.image_encoder,
        model.correspondence,
        model.generator,
    )
    return math.lcm(*(int(getattr(p, "multiple", getattr(p, "stride", 1))) for p in parts))
