"""VGG-19 reconstruction: every sample's own truth is the target, whatever its exemplar.

The perceptual term of pix2pixHD (Wang et al., CVPR 2018, section 3.2 on improved losses) and SPADE
(Park et al., CVPR 2019). The toolkit's `PseudoPairLoss` is the same sum over paired samples only:
with an unrelated exemplar the truth is not the answer. Where no exemplar is read it always is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import at_least_float32, without_autocast
from mcltoolkit.losses.base import Loss
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import ImageFeatures, Translation

LAYERS: Mapping[str, float] = {
    "relu1_1": 1 / 32,
    "relu2_1": 1 / 16,
    "relu3_1": 1 / 8,
    "relu4_1": 1 / 4,
    "relu5_1": 1.0,
}


@LOSSES.register_module()
class VGGReconstructionLoss(Loss):
    """L1 of VGG-19 layers of the output against the truth's, averaged over all samples.

    For generators that do not read the exemplar, and for data whose exemplars are the truth itself;
    with others it trains a network to ignore the exemplar.

    Args:
        weight: published value 10 (SPADE, pix2pixHD).
        layers: weight of each layer; published 1/32, 1/16, 1/8, 1/4, 1 for relu1_1 ... relu5_1.

    Raises:
        ConfigError: no layer.
    """

    requires = frozenset({"image_features", "truth"})

    def __init__(self, weight: float = 10.0, layers: Mapping[str, float] = LAYERS) -> None:
        super().__init__(weight)
        if not layers:
            raise ConfigError(
                "VGGReconstructionLoss.layers is empty; give at least one {layer: weight}"
            )
        self.layers = dict(layers)

    @property
    def image_layers(self) -> frozenset[str]:
        """VGG-19 layers that the loss reads."""
        return frozenset(self.layers)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: weighted sum over layers, mean over batch, channels and positions."""
        features: ImageFeatures = translation.need("image_features")
        fake, truth = features.of("fake"), features.of("truth")
        with without_autocast(translation.fake):
            terms = [
                weight
                * F.l1_loss(at_least_float32(fake[layer]), at_least_float32(truth[layer].detach()))
                for layer, weight in self.layers.items()
            ]
            return torch.stack(terms).sum()
