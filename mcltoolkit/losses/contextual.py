"""Contextual loss: the output's features should each find a near one in the exemplar.

Mechrez et al. (ECCV 2018); L_cxt of CoCosNet and MCL-Net, with the centring that they release.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit import ops
from mcltoolkit.errors import ConfigError
from mcltoolkit.losses.base import Loss
from mcltoolkit.precision import at_least_float32
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import ImageFeatures, Translation

CENTRES = ("channels", "positions")
LAYERS: Mapping[str, float] = {"relu5_2": 8.0, "relu4_2": 4.0, "relu3_2": 2.0}
POOL: Mapping[str, int] = {"relu3_2": 2}
# Keeps d / min d finite where a source feature has an exact twin in the target.
MIN_DISTANCE = 1e-3


def contextual_loss(
    source: Tensor, target: Tensor, centre: str = "channels", bandwidth: float = 0.1
) -> Tensor:
    """-log mean_i max_j A_ij for each image, in float32, in memory linear in the positions.

    d = 1 - cosine of the centred features, d~ = d / (min_j d + 1e-3), and A is
    exp((1 - d~) / bandwidth) normalised over the target's positions j.

    Args:
        source: (B, C, h, w), features of the output.
        target: (B, C, h', w'), features of the exemplar.
        centre: both maps are centred by the target's mean: over `channels` at each position (the
            released form for positional normalisation; the maps must have one size), or over
            `positions` for each channel.
        bandwidth: of the exponential, > 0.

    Returns:
        (B,), in [0, log(h' w')].

    Raises:
        ConfigError: unknown `centre`, or maps of two sizes with `channels`.
    """
    if centre not in CENTRES:
        raise ConfigError(f"contextual centre is {centre!r}; allowed are {', '.join(CENTRES)}")
    if centre == "channels" and source.shape != target.shape:
        raise ConfigError(
            f"contextual loss with centre='channels' compares maps of one size, found "
            f"{tuple(source.shape)} and {tuple(target.shape)}; use centre='positions', or "
            f"exemplars of the output's size"
        )
    with torch.autocast(source.device.type, enabled=False):
        x, y = at_least_float32(source).flatten(2), at_least_float32(target).flatten(2)
        mean = y.mean(dim=1 if centre == "channels" else 2, keepdim=True)
        x, y = F.normalize(x - mean, dim=1), F.normalize(y - mean, dim=1)
        best = ops.contextual_affinity(x, y, bandwidth, MIN_DISTANCE)
        return math.log(best.shape[1]) - best.logsumexp(dim=1)


@LOSSES.register_module()
class ContextualLoss(Loss):
    """Weighted contextual losses of the output against the exemplar over VGG-19 layers.

    Args:
        weight: released value 10.
        layers: weight of each layer; released 8, 4, 2 for relu5_2, relu4_2, relu3_2.
        pool: layers average-pooled before the comparison, by that factor.
        centre, bandwidth: see `contextual_loss`.
    """

    requires = frozenset({"image_features"})

    def __init__(
        self,
        weight: float = 10.0,
        layers: Mapping[str, float] = LAYERS,
        pool: Mapping[str, int] = POOL,
        centre: str = "channels",
        bandwidth: float = 0.1,
    ) -> None:
        super().__init__(weight)
        if centre not in CENTRES:
            raise ConfigError(
                f"ContextualLoss.centre is {centre!r}; allowed are {', '.join(CENTRES)}"
            )
        if bandwidth <= 0:
            raise ConfigError(f"ContextualLoss.bandwidth is {bandwidth}; allowed are values > 0")
        if not layers:
            raise ConfigError("ContextualLoss.layers is empty; give at least one {layer: weight}")
        self.layers = dict(layers)
        self.pool = dict(pool)
        self.centre = centre
        self.bandwidth = bandwidth

    @property
    def image_layers(self) -> frozenset[str]:
        """VGG-19 layers that the loss reads."""
        return frozenset(self.layers)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: weighted sum over layers, mean over the batch."""
        features: ImageFeatures = translation.need("image_features")
        fake, exemplar = features.of("fake"), features.of("exemplar")
        terms = []
        for layer, weight in self.layers.items():
            x, y = fake[layer], exemplar[layer].detach()
            if self.pool.get(layer, 1) > 1:
                x, y = (F.avg_pool2d(f, self.pool[layer]) for f in (x, y))
            terms.append(weight * contextual_loss(x, y, self.centre, self.bandwidth).mean())
        return torch.stack(terms).sum()
