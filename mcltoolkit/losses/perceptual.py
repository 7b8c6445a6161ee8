"""Perceptual loss: keeps the content of the ground truth in one deep VGG-19 layer.

Johnson et al. (ECCV 2016); L_per of CoCosNet and MCL-Net.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.losses.base import Loss
from mcltoolkit.precision import at_least_float32
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import ImageFeatures, Translation


@LOSSES.register_module()
class PerceptualLoss(Loss):
    """Mean squared error of one VGG-19 layer of the output against the truth's.

    Args:
        weight: released value 0.01 (ADE20K); 0.001 with `relu4_2` (other data sets).
        layer: VGG-19 layer; released `relu5_2` (ADE20K) or `relu4_2`.
    """

    requires = frozenset({"image_features", "truth"})

    def __init__(self, weight: float = 0.01, layer: str = "relu5_2") -> None:
        super().__init__(weight)
        self.layer = layer

    @property
    def image_layers(self) -> frozenset[str]:
        """VGG-19 layers that the loss reads."""
        return frozenset({self.layer})

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: mean over batch, channels and positions."""
        features: ImageFeatures = translation.need("image_features")
        fake, truth = features.of("fake")[self.layer], features.of("truth")[self.layer]
        return F.mse_loss(at_least_float32(fake), at_least_float32(truth.detach()))
