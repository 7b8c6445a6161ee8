"""Style relevance: how alike output and exemplar are in colour and texture, in both definitions.

- paper (CoCosNet, Zhang et al., CVPR 2020): cosine of the VGG-19 features relu1_2 (colour) and
  relu2_2 (texture), each taken as one vector over channels and positions;
- released script of its authors: cosine of the mean (colour) and of the variance (texture) of each
  channel of relu1_2 over positions, which does not ask where something is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import DataError
from mcltoolkit.metrics.vgg_features import VGGMetric
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction

LAYERS = {
    "style_colour_paper": "relu1_2",
    "style_texture_paper": "relu2_2",
    "style_colour_released": "relu1_2",
    "style_texture_released": "relu1_2",
}


def feature_cosine(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of features taken as one vector.

    Args:
        first, second: (B, C, h, w), of one size.

    Returns:
        (B,) in [-1, 1].
    """
    return F.cosine_similarity(first.double().flatten(1), second.double().flatten(1), dim=1)


def statistics_cosine(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine of the channels' means, and of their variances, over positions.

    Args:
        first, second: (B, C, h, w) and (B, C, h', w').

    Returns:
        Two (B,) in [-1, 1].
    """
    first, second = first.double().flatten(2), second.double().flatten(2)
    mean = F.cosine_similarity(first.mean(2), second.mean(2), dim=1)
    return mean, F.cosine_similarity(first.var(2, correction=0), second.var(2, correction=0), dim=1)


@METRICS.register_module()
class StyleRelevance(VGGMetric):
    """Likeness of output and exemplar in style; higher is better.

    Keys: `style_colour_paper`, `style_texture_paper`, `style_colour_released`,
    `style_texture_released`. Those of the paper need an exemplar of the output's size.

    Args:
        weights: path, `torchvision` or `random`, see `VGG19Features`; required.
        options: `preprocess`, `width_divisor`, `weights_seed`, and those of mmengine's
            `BaseMetric`.

    Raises:
        WeightsError: no weights, or they cannot be used.
    """

    layers = ("relu1_2", "relu2_2")
    protocols = {
        "style_colour_paper": "style-colour-paper-flat-cosine-1",
        "style_texture_paper": "style-texture-paper-flat-cosine-1",
        "style_colour_released": "style-colour-released-mean-1",
        "style_texture_released": "style-texture-released-variance-1",
    }

    def measure(self, samples: Sequence[Prediction]) -> list[dict[str, float]]:
        """Values of each sample of a batch.

        Raises:
            DataError: output and exemplar differ in size.
        """
        sizes = [tuple(image.shape[1:]) for image in (samples[0].fake, samples[0].exemplar)]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"StyleRelevance compares features place by place, but the output of "
                f"{samples[0].name!r} is {sizes[0]} and its exemplar {sizes[1]}; give exemplars "
                f"of the output's size"
            )
        fake, exemplar = (self.shared.of(samples, role) for role in ("fake", "exemplar"))
        colour, texture = statistics_cosine(fake["relu1_2"], exemplar["relu1_2"])
        columns = {
            "style_colour_paper": feature_cosine(fake["relu1_2"], exemplar["relu1_2"]),
            "style_texture_paper": feature_cosine(fake["relu2_2"], exemplar["relu2_2"]),
            "style_colour_released": colour,
            "style_texture_released": texture,
        }
        lists = {key: column.tolist() for key, column in columns.items()}
        return [{key: lists[key][i] for key in lists} for i in range(len(samples))]

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        return {**super().passport(key), "layers": LAYERS.get(key, ", ".join(self.layers))}
