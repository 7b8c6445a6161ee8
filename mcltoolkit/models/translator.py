"""The forward path: encoders -> (self-correlation) -> correspondence -> generator.

CoCosNet (Zhang et al., CVPR 2020); MCL-Net (Zhan et al., CVPR 2022) adds the self-correlation map.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from mcltoolkit.context import OneHot, for_part
from mcltoolkit.errors import ConfigError
from mcltoolkit.interfaces import Descriptor
from mcltoolkit.layers import unit_length
from mcltoolkit.memory import give_back
from mcltoolkit.registry import (
    CORRESPONDENCES,
    ENCODERS,
    GENERATORS,
    Registry,
    build_component,
)
from mcltoolkit.structures import Alignment, Batch, ExemplarSide, Match, Painting, Translation

Settings = Mapping[str, Any]
# the settings of a config's `model` that the translator takes
TRANSLATOR_SETTINGS = (
    "condition_channels",
    "condition_encoder",
    "image_encoder",
    "self_correlation",
    "correspondence",
    "generator",
)


class Translator(nn.Module):
    """Paints a condition in an exemplar's style.

    Sizes that follow from other settings (`in_channels` of encoders, correspondence and
    self-correlation, `context_channels` of the generator) are filled in where a config leaves
    them out. The parts are those of `mcltoolkit.interfaces`.

    Args:
        condition_channels: C, channels of the dense condition (classes of a label map).
        condition_encoder, image_encoder: encoder configs; both must give the same channels and
            stride. Both None: a model that learns no features, with a correspondence that needs
            none.
        correspondence: correspondence config.
        generator: generator config.
        self_correlation: config of the self-correlation descriptor, or None.
        shift_truth: in training, encode the truth moved around by a random number of grid cells
            (circularly; drawn for each batch) and move its features back. A small image's padding
            tells every position where it is, and contrast between the condition and the truth at
            the same position is then answered by the position alone, which no other exemplar
            shares; the shift takes this answer away. This toolkit's own; off as published.

    Attributes:
        provides: names of the outputs, beyond those of every model, that the correspondence or the
            generator makes for losses of their own.

    Raises:
        ConfigError: the two encoders do not fit each other, or one is missing.
    """

    def __init__(
        self,
        condition_channels: int,
        condition_encoder: Settings | None,
        image_encoder: Settings | None,
        correspondence: Settings,
        generator: Settings,
        self_correlation: Settings | None = None,
        shift_truth: bool = False,
    ) -> None:
        super().__init__()
        self.shift_truth = shift_truth
        self.condition_channels = condition_channels
        self.condition_encoder = _optional(
            ENCODERS, condition_encoder, "model.condition_encoder", in_channels=condition_channels
        )
        self.image_encoder = _optional(
            ENCODERS, image_encoder, "model.image_encoder", in_channels=3
        )
        self.feature_channels = _shared_channels(self.condition_encoder, self.image_encoder)
        self.descriptor_channels = self.feature_channels
        if self_correlation is not None and self.image_encoder is None:
            raise ConfigError(
                f"model.self_correlation is {self_correlation!r}, but the model has no encoders "
                f"whose features it could describe; set it to None"
            )
        self.self_correlation = _optional(
            CORRESPONDENCES,
            self_correlation,
            "model.self_correlation",
            in_channels=self.feature_channels,
        )
        if self.self_correlation is not None:
            self.descriptor_channels += int(cast(Descriptor, self.self_correlation).out_channels)
        self.correspondence = build_component(
            CORRESPONDENCES,
            correspondence,
            "model.correspondence",
            in_channels=self.descriptor_channels,
            condition_channels=condition_channels,
        )
        if self.image_encoder is None and getattr(self.correspondence, "needs_features", True):
            raise ConfigError(
                f"model.correspondence ({type(self.correspondence).__name__}) matches the features "
                f"of encoders, but model.condition_encoder and model.image_encoder are None; set "
                f"both"
            )
        guidance = int(getattr(self.correspondence, "guidance_channels", 3))
        self.generator = build_component(
            GENERATORS,
            generator,
            "model.generator",
            context_channels=guidance + condition_channels,
        )
        self.provides = frozenset[str]().union(
            *(getattr(part, "provides", ()) for part in (self.correspondence, self.generator))
        )

    def forward(
        self, batch: Batch, outputs: frozenset[str] = frozenset(), progress: float = 0.0
    ) -> Translation:
        """Translate a batch with one-hot or dense conditions (`Batch.with_one_hot`).

        Args:
            batch: H and W must be divisible by the strides of encoders and generator.
            outputs: optional outputs to compute: `truth_features`, `warped_labels`, `cycle`, and
                names in `provides`.
            progress: share of the training that is done, handed on to the losses.

        Raises:
            ConfigError: a size that the networks cannot take.
        """
        condition = batch.given_condition
        assert condition is not None, "call Batch.with_one_hot first"
        condition_features = self._encode(self.condition_encoder, condition)
        exemplar_features = self._encode(self.image_encoder, batch.exemplar)
        condition_descriptors = self._describe(condition_features)
        exemplar_descriptors = self._describe(exemplar_features)
        alignment = self.correspondence(condition_descriptors, exemplar_descriptors, batch, outputs)
        painting = self.paint(alignment, condition)
        truth_features = None
        if "truth_features" in outputs and batch.truth is not None:
            truth_features = unit_length(self._encode_truth(batch.truth))
        return Translation(
            batch=batch,
            alignment=alignment,
            fake=painting.image,
            condition_features=condition_features,
            exemplar_features=exemplar_features,
            condition_descriptors=condition_descriptors,
            exemplar_descriptors=exemplar_descriptors,
            truth_features=truth_features,
            truth_descriptors=self._describe(truth_features),
            progress=progress,
            extras={**alignment.extras, **painting.extras},
        )

    def encode_condition(self, condition: Tensor | OneHot) -> Tensor | None:
        """Descriptors (B, D, h, w) of conditions (B, C, H, W); None without encoders."""
        return self._describe(self._encode(self.condition_encoder, condition))

    def encode_exemplar(
        self,
        image: Tensor,
        condition: Tensor | OneHot | None = None,
        labels: Tensor | None = None,
    ) -> ExemplarSide:
        """The exemplar's side of a translation, for `align`; it serves any number of conditions.

        Args:
            image: (B, 3, H, W) in [-1, 1]; H and W as for `forward`.
            condition: (B, C, H, W), where it is known.
            labels: (B, H, W), handed through.

        Raises:
            DataError: the correspondence needs the condition, which is missing.
            ConfigError: a size that the networks cannot take.
        """
        side = ExemplarSide(image, labels)
        side.condition = condition  # type: ignore[assignment]
        side.descriptors = self._describe(self._encode(self.image_encoder, image))
        if self.prepares_exemplars:
            part = self.correspondence
            theirs = None if condition is None else for_part(part, condition, "prepare_exemplar")
            side.prepared = part.prepare_exemplar(side.descriptors, theirs)
        return side

    @property
    def prepares_exemplars(self) -> bool:
        """The correspondence computes its exemplar's side apart, and takes it in `forward`."""
        part = self.correspondence
        taken = inspect.signature(part.forward).parameters
        return callable(getattr(part, "prepare_exemplar", None)) and "prepared" in taken

    def align(
        self,
        batch: Batch,
        descriptors: Tensor | None,
        side: ExemplarSide,
        outputs: frozenset[str] = frozenset(),
    ) -> Alignment:
        """Match conditions with exemplars that were encoded before.

        Args:
            batch: conditions as for `forward`; its exemplars are not read.
            descriptors: of the conditions, from `encode_condition`.
            side: from `encode_exemplar`, with as many exemplars as the batch has conditions.
            outputs: as for `forward`.
        """
        batch = batch.changed(
            exemplar=side.image,
            exemplar_labels=side.labels,
            exemplar_condition=side.given_condition,
        )
        known = {} if side.prepared is None else {"prepared": side.prepared}
        alignment: Alignment = self.correspondence(
            descriptors, side.descriptors, batch, outputs, **known
        )
        return alignment

    def paint(self, alignment: Alignment, condition: Tensor | OneHot) -> Painting:
        """What the generator makes of an alignment and the condition (B, C, H, W).

        Without gradients the match is released first, and freed memory given back: here most of it
        is needed.
        """
        if not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
            release(alignment.match)
            give_back(alignment.warped.device)
        guidance = alignment.warped if alignment.guidance is None else alignment.guidance
        painted = self.generator(guidance, for_part(self.generator, condition))
        return painted if isinstance(painted, Painting) else Painting(painted)

    def _encode(self, encoder: nn.Module | None, x: Tensor | OneHot) -> Tensor | None:
        return None if encoder is None else unit_length(encoder(for_part(encoder, x)))

    def _encode_truth(self, truth: Tensor) -> Tensor:
        assert self.image_encoder is not None, "asked for by losses that need encoders"
        if not (self.shift_truth and self.training):
            features: Tensor = self.image_encoder(truth)
            return features
        stride = self.image_encoder.stride
        # drawn on the CPU: a shift is needed as a number, and must not stall an accelerator
        cells = [int(torch.randint(side // stride, ())) for side in truth.shape[-2:]]
        moved = truth.roll([stride * n for n in cells], dims=(-2, -1))
        return self.image_encoder(moved).roll([-n for n in cells], dims=(-2, -1))

    def _describe(self, features: Tensor | None) -> Tensor | None:
        if self.self_correlation is None or features is None:
            return features
        return torch.cat([features, self.self_correlation(features)], dim=1)


def release(match: Match) -> None:
    """Let a match forget what it can compute again, where it knows how to."""
    forget = getattr(match, "release", None)
    if callable(forget):
        forget()


def _optional(registry: Registry, settings: Settings | None, where: str, **filled: int) -> Any:
    return None if settings is None else build_component(registry, settings, where, **filled)


def _shared_channels(condition_encoder: Any, image_encoder: Any) -> int:
    """Channels of both encoders' maps; 0 where there are none."""
    if condition_encoder is None and image_encoder is None:
        return 0
    if condition_encoder is None or image_encoder is None:
        missing = "condition_encoder" if condition_encoder is None else "image_encoder"
        raise ConfigError(
            f"model.{missing} is None; set both encoders, or neither, with a correspondence that "
            f"needs no features"
        )
    for name in ("out_channels", "stride"):
        ours, theirs = (getattr(encoder, name) for encoder in (condition_encoder, image_encoder))
        if ours != theirs:
            raise ConfigError(
                f"model.condition_encoder has {name} {ours}, model.image_encoder has {theirs}; "
                f"the correspondence compares their maps, so set both to the same"
            )
    return int(image_encoder.out_channels)
