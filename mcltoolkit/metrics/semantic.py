"""Semantic consistency: whether output and truth mean the same, in both definitions.

- paper (CoCosNet, Zhang et al., CVPR 2020): mean cosine of the VGG-19 features relu3_2, relu4_2 and
  relu5_2, each taken as one vector over channels and positions;
- released script of its authors: relu4_2, enlarged to the label map by nearest neighbour; for each
  label the mean feature over its region; cosine of output and truth; mean over labels, weighted by
  area.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import DataError
from mcltoolkit.metrics.style import feature_cosine
from mcltoolkit.metrics.vgg_features import VGGMetric
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction

PAPER = ("relu3_2", "relu4_2", "relu5_2")
RELEASED = "relu4_2"


def region_consistency(first: Tensor, second: Tensor, labels: Tensor) -> float:
    """Area-weighted mean over labels of the cosine of the regions' mean features.

    A cell of the features counts as often as it has pixels of the label, which is what enlarging
    the features by nearest neighbour comes to, without the enlarged map.

    Args:
        first, second: (C, h, w), of one size.
        labels: (H, W) int64, 0 or more.

    Returns:
        In [-1, 1].
    """
    (height, width), (rows, columns) = labels.shape, first.shape[1:]
    cells = torch.arange(rows * columns, device=labels.device).view(1, 1, rows, columns)
    cell = F.interpolate(cells.double(), size=(height, width), mode="nearest").long()[0, 0]
    found, label = labels.unique(return_inverse=True)
    places = label * (rows * columns) + cell
    counts = places.flatten().bincount(minlength=len(found) * rows * columns).double()
    weights = counts.view(len(found), -1)
    area = weights.sum(1, keepdim=True)
    ours, theirs = (weights @ features.double().flatten(1).T / area for features in (first, second))
    cosine = F.cosine_similarity(ours, theirs, dim=1)
    return float((cosine * area[:, 0]).sum() / area.sum())


@METRICS.register_module()
class SemanticConsistency(VGGMetric):
    """Likeness of output and truth in meaning; higher is better.

    Keys: `semantic_paper`, and `semantic_released` where the condition has labels.

    Args:
        weights: path, `torchvision` or `random`, see `VGG19Features`; required.
        options: `preprocess`, `width_divisor`, `weights_seed`, and those of mmengine's
            `BaseMetric`.

    Raises:
        WeightsError: no weights, or they cannot be used.
    """

    layers = PAPER
    protocols = {
        "semantic_paper": "semantic-paper-flat-cosine-1",
        "semantic_released": "semantic-released-regions-1",
    }

    def measure(self, samples: Sequence[Prediction]) -> list[dict[str, float]]:
        """Values of each sample of a batch.

        Raises:
            DataError: a sample has no truth, or one of another size.
        """
        fake, truth = (self.shared.of(samples, role) for role in ("fake", "truth"))
        if fake[RELEASED].shape != truth[RELEASED].shape:
            raise DataError(
                f"SemanticConsistency compares features place by place, but the output of "
                f"{samples[0].name!r} and its truth differ in size"
            )
        cosines = torch.stack([feature_cosine(fake[layer], truth[layer]) for layer in PAPER])
        entries = []
        for i, (sample, value) in enumerate(zip(samples, cosines.mean(0).tolist(), strict=True)):
            entry = {"semantic_paper": value}
            if sample.labels is not None:
                labels = sample.labels.to(fake[RELEASED].device)
                features = (fake[RELEASED][i], truth[RELEASED][i])
                entry["semantic_released"] = region_consistency(*features, labels)
            entries.append(entry)
        return entries

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        told = super().passport(key)
        if key == "semantic_released":
            told.update(layers=RELEASED, resize="features to the label map, nearest")
        return told
