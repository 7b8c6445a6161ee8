"""A loaded model: the translator, and what its checkpoint tells about conditions and classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from mcltoolkit.data.palette import class_palette
from mcltoolkit.inference.cache import ExemplarCache
from mcltoolkit.inference.settings import ConditionForm
from mcltoolkit.models.translator import Translator

Colour = tuple[int, int, int]


@dataclass
class TranslationModel:
    """What `load_model` returns and `translate` takes.

    Attributes:
        translator: the networks, in evaluation mode, on `device`; from `load_model`, spectral norm
            is folded into the weights.
        config: the config that the checkpoint carries, plain data, its `inference` complete.
        classes: K names, by label value; None where conditions are no label maps.
        palette: K display colours, RGB in 0..255; None likewise.
        checkpoint: the file, for messages.
        exemplars: what the networks made of the last exemplars; see `ExemplarCache`.
        stride: what height and width must be multiples of inside the networks.
    """

    translator: Translator
    config: dict[str, Any]
    classes: tuple[str, ...] | None = None
    palette: list[Colour] | None = None
    checkpoint: str = ""
    exemplars: ExemplarCache = field(default_factory=ExemplarCache)
    stride: int = field(init=False)

    def __post_init__(self) -> None:
        self.stride = stride(self.translator)

    @property
    def settings(self) -> dict[str, Any]:
        """How inputs are read: see `inference_settings`."""
        found: dict[str, Any] = self.config["inference"]
        return found

    @property
    def channels(self) -> int:
        """C of the dense condition; for label maps K, the classes."""
        return self.translator.condition_channels

    @property
    def condition_kind(self) -> str:
        """`labels` where conditions are label maps, or `maps` (edges, poses, distances)."""
        return str(self.settings["condition"])

    @property
    def form(self) -> ConditionForm:
        """What it takes as a condition, for reading one."""
        label_map = self.settings.get("label_map")
        refused = self.settings.get("refused_labels") or ()
        return ConditionForm(
            self.channels, self.condition_kind, label_map, self.classes, self.palette, refused
        )

    @property
    def needs_exemplar_condition(self) -> bool:
        """The correspondence mixes the exemplar's condition in (`mask_mix`)."""
        return reads_exemplar_condition(self.translator.correspondence)

    @property
    def device(self) -> torch.device:
        """Where the networks are; inputs are moved there."""
        return next(self.translator.parameters()).device


def reads_exemplar_condition(correspondence: nn.Module) -> bool:
    """Whether it, or a part of it, mixes the exemplar's condition in.

    As its `needs_exemplar_condition` says; without that, if a module of it has `mask_mix` set.
    """
    said = getattr(correspondence, "needs_exemplar_condition", None)
    if said is not None:
        return bool(said)
    return any(getattr(part, "mask_mix", False) is True for part in correspondence.modules())


def stride(translator: Translator) -> int:
    """What height and width must be multiples of, inside the networks."""
    parts = (
        translator.condition_encoder,
        translator.image_encoder,
        translator.correspondence,
        translator.generator,
    )
    return math.lcm(*(int(getattr(p, "multiple", getattr(p, "stride", 1))) for p in parts))


def names_and_colours(
    channels: int, kind: str, dataset_meta: Mapping[str, Any]
) -> tuple[tuple[str, ...] | None, list[Colour] | None]:
    """Class names and display colours, from the training set's metainfo where that has them.

    Args:
        channels: K.
        kind: `labels`, or `maps`, which have neither.
        dataset_meta: of the checkpoint; may be empty.
    """
    if kind != "labels":
        return None, None
    names, colours = dataset_meta.get("classes"), dataset_meta.get("palette")
    if not isinstance(names, list | tuple) or len(names) != channels:
        names = [f"class {k}" for k in range(channels)]
    if not isinstance(colours, list | tuple) or len(colours) != channels:
        colours = class_palette(channels)
    return tuple(str(name) for name in names), [(int(r), int(g), int(b)) for r, g, b in colours]
