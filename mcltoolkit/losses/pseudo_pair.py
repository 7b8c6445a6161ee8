"""Pseudo-pair losses: where the exemplar gives the right answer away, compare with it.

L_pse of MCL-Net (CoCosNet's "feature matching" of pseudo exemplar pairs, section 3.3), on VGG-19
features; and an L1 in pixels of our own, which needs no pretrained network.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses.base import Loss
from mcltoolkit.losses.paired import l1_per_sample, paired_mean
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import ImageFeatures, Translation

LAYERS: Mapping[str, float] = {
    "relu1_2": 1 / 32,
    "relu2_2": 1 / 16,
    "relu3_2": 1 / 8,
    "relu4_2": 1 / 4,
    "relu5_2": 1.0,
}


@LOSSES.register_module()
class PseudoPairLoss(Loss):
    """L1 of VGG-19 features of the output against the truth's, averaged over paired samples.

    Args:
        weight: released value 1 (ADE20K) or 10 (other data sets).
        layers: weight of each layer; released 1/32, 1/16, 1/8, 1/4, 1 for relu1_2 ... relu5_2.
        released: divide by the batch size once more, see `paired_mean`.
    """

    requires = frozenset({"image_features", "truth"})
    paired_only = True

    def __init__(
        self,
        weight: float = 1.0,
        layers: Mapping[str, float] = LAYERS,
        released: bool = False,
    ) -> None:
        super().__init__(weight)
        if not layers:
            raise ConfigError("PseudoPairLoss.layers is empty; give at least one {layer: weight}")
        self.layers = dict(layers)
        self.released = released

    @property
    def image_layers(self) -> frozenset[str]:
        """VGG-19 layers that the loss reads."""
        return frozenset(self.layers)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: zero in a batch without a paired sample."""
        features: ImageFeatures = translation.need("image_features")
        fake, truth = features.of("fake"), features.of("truth")
        terms = [
            weight * l1_per_sample(fake[layer], truth[layer].detach())
            for layer, weight in self.layers.items()
        ]
        values = torch.stack(terms).sum(dim=0)
        return paired_mean(values, translation.batch.paired, self.released)


@LOSSES.register_module()
class PixelPseudoPairLoss(Loss):
    """L1 in pixels against the truth, averaged over paired samples.

    Args:
        weight: factor in the objective; ours, there is no released value.
        image: `fake` (the output) or `warped` (the warped exemplar, which trains the
            correspondence directly).
        released: divide by the batch size once more, see `paired_mean`.
    """

    requires = frozenset({"truth"})
    paired_only = True

    def __init__(self, weight: float = 1.0, image: str = "fake", released: bool = False) -> None:
        super().__init__(weight)
        if image not in ("fake", "warped"):
            raise ConfigError(
                f"PixelPseudoPairLoss.image is {image!r}; allowed are 'fake' and 'warped'"
            )
        self.image = image
        self.released = released

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: zero in a batch without a paired sample."""
        image = translation.fake if self.image == "fake" else translation.alignment.warped
        batch = translation.batch
        assert batch.truth is not None, "listed in `requires`"
        return paired_mean(l1_per_sample(image, batch.truth), batch.paired, self.released)
