"""The forward path: encoders -> (self-correlation) -> correspondence -> generator.

CoCosNet (Zhang et al., CVPR 2020); MCL-Net (Zhan et al., CVPR 2022) adds the self-correlation map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import unit_length
from mcltoolkit.registry import CORRESPONDENCES, ENCODERS, GENERATORS, build_component
from mcltoolkit.structures import Batch, Translation

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
    them out.

    Args:
        condition_channels: C, channels of the dense condition (classes of a label map).
        condition_encoder, image_encoder: encoder configs; both must give the same channels and
            stride.
        correspondence: correspondence config.
        generator: generator config.
        self_correlation: config of the self-correlation descriptor, or None.
        shift_truth: in training, encode the truth moved around by a random number of grid cells
            (circularly; drawn for each batch) and move its features back. A small image's padding
            tells every position where it is, and contrast between the condition and the truth at
            the same position is then answered by the position alone, which no other exemplar
            shares; the shift takes this answer away. This toolkit's own; off as published.

    Raises:
        ConfigError: the two encoders do not fit each other.
    """

    def __init__(
        self,
        condition_channels: int,
        condition_encoder: Settings,
        image_encoder: Settings,
        correspondence: Settings,
        generator: Settings,
        self_correlation: Settings | None = None,
        shift_truth: bool = False,
    ) -> None:
        super().__init__()
        self.shift_truth = shift_truth
        self.condition_channels = condition_channels
        self.condition_encoder = build_component(
            ENCODERS, condition_encoder, "model.condition_encoder", in_channels=condition_channels
        )
        self.image_encoder = build_component(
            ENCODERS, image_encoder, "model.image_encoder", in_channels=3
        )
        for name in ("out_channels", "stride"):
            ours = getattr(self.condition_encoder, name)
            theirs = getattr(self.image_encoder, name)
            if ours != theirs:
                raise ConfigError(
                    f"model.condition_encoder has {name} {ours}, model.image_encoder has {theirs}; "
                    f"the correspondence compares their maps, so set both to the same"
                )
        self.feature_channels = int(self.condition_encoder.out_channels)
        self.descriptor_channels = self.feature_channels
        self.self_correlation = None
        if self_correlation is not None:
            self.self_correlation = build_component(
                CORRESPONDENCES,
                self_correlation,
                "model.self_correlation",
                in_channels=self.feature_channels,
            )
            self.descriptor_channels += int(self.self_correlation.out_channels)
        self.correspondence = build_component(
            CORRESPONDENCES,
            correspondence,
            "model.correspondence",
            in_channels=self.descriptor_channels,
            condition_channels=condition_channels,
        )
        self.generator = build_component(
            GENERATORS, generator, "model.generator", context_channels=3 + condition_channels
        )

    def forward(
        self, batch: Batch, outputs: frozenset[str] = frozenset(), progress: float = 0.0
    ) -> Translation:
        """Translate a batch whose conditions are dense.

        Args:
            batch: H and W must be divisible by the strides of encoders and generator.
            outputs: optional outputs to compute: `truth_features`, `warped_labels`, `cycle`.
            progress: share of the training that is done, handed on to the losses.

        Raises:
            ConfigError: a size that the networks cannot take.
        """
        assert batch.condition is not None, "call Batch.with_one_hot first"
        condition_features = unit_length(self.condition_encoder(batch.condition))
        exemplar_features = unit_length(self.image_encoder(batch.exemplar))
        condition_descriptors = self._describe(condition_features)
        exemplar_descriptors = self._describe(exemplar_features)
        alignment = self.correspondence(condition_descriptors, exemplar_descriptors, batch, outputs)
        fake = self.generator(alignment.warped, batch.condition)
        truth_features = truth_descriptors = None
        if "truth_features" in outputs and batch.truth is not None:
            truth_features = unit_length(self._encode_truth(batch.truth))
            truth_descriptors = self._describe(truth_features)
        return Translation(
            batch=batch,
            alignment=alignment,
            fake=fake,
            condition_features=condition_features,
            exemplar_features=exemplar_features,
            condition_descriptors=condition_descriptors,
            exemplar_descriptors=exemplar_descriptors,
            truth_features=truth_features,
            truth_descriptors=truth_descriptors,
            progress=progress,
        )

    def _encode_truth(self, truth: Tensor) -> Tensor:
        if not (self.shift_truth and self.training):
            features: Tensor = self.image_encoder(truth)
            return features
        stride = self.image_encoder.stride
        # drawn on the CPU: a shift is needed as a number, and must not stall an accelerator
        cells = [int(torch.randint(side // stride, ())) for side in truth.shape[-2:]]
        moved = truth.roll([stride * n for n in cells], dims=(-2, -1))
        return self.image_encoder(moved).roll([-n for n in cells], dims=(-2, -1))

    def _describe(self, features: Tensor) -> Tensor:
        if self.self_correlation is None:
            return features
        return torch.cat([features, self.self_correlation(features)], dim=1)
