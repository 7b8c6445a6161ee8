"""Diversity: mean LPIPS between outputs of one condition under different exemplars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcltoolkit.errors import DataError
from mcltoolkit.metrics.inception import to_bytes
from mcltoolkit.metrics.perceptual_distance import LPIPSMetric
from mcltoolkit.metrics.shared import stacked
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction

KEY = "lpips_diversity"


def diversity(
    outputs: Mapping[str, Sequence[Tensor]], distance: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, float]:
    """Mean distance of all pairs of outputs, by condition.

    Args:
        outputs: images (3, H, W) by condition; those with fewer than two do not count.
        distance: two (B, 3, H, W) -> (B,).

    Raises:
        DataError: no condition has two outputs.
    """
    found = {}
    for condition, images in outputs.items():
        pairs = list(combinations(images, 2))
        if pairs:
            values = [distance(a[None], b[None]) for a, b in pairs]
            found[condition] = float(torch.cat(values).double().mean())
    if not found:
        raise DataError(
            f"diversity needs at least two outputs of one condition, made with different "
            f"exemplars, but each of the {len(outputs)} conditions has one; give several "
            f"exemplars to a condition, or leave LPIPSDiversity out"
        )
    return found


@METRICS.register_module()
class LPIPSDiversity(LPIPSMetric):
    """Mean over conditions of the mean LPIPS between their outputs; higher is more diverse. Key:
    `lpips_diversity`.

    Samples of one `group`, or of one name where they have no group, are outputs of one condition.
    Outputs are collected from all ranks as 8-bit images, which is also what is compared: 0.2 MB a
    sample at 256 x 256.

    Args:
        weights: of the backbone: path, `torchvision` or `random`; required.
        options: `net`, `weights_seed`, and those of mmengine's `BaseMetric`.

    Raises:
        ConfigError: lpips is not installed, or an unknown net.
        WeightsError: no weights, or they cannot be used.
        DataError: at the evaluation, no condition has two outputs.
    """

    protocols = {KEY: "lpips-0.1-diversity-1"}
    conditions = 0

    def measure(self, samples: Sequence[Prediction]) -> list[Any]:
        """Group and image of each sample.

        Raises:
            DataError: an output is not finite.
        """
        if samples:
            self.network.to(samples[0].fake.device)
        entries = []
        for sample in samples:
            (image,) = stacked([sample], "fake")  # each alone: sizes may differ
            group = getattr(sample, "group", sample.name)
            entries.append((group, to_bytes(image).cpu().numpy()))
        return entries

    def values_of(self, entry: Any) -> dict[str, float]:
        """None: a sample alone is not diverse."""
        return {}

    def reduce(self, entries: list[tuple[str, np.ndarray]]) -> dict[str, float]:
        """Mean over conditions."""
        device = next(iter(self.network.buffers())).device
        outputs: dict[str, list[Tensor]] = {}
        for name, image in entries:
            outputs.setdefault(name, []).append(torch.from_numpy(image))

        def distance(first: Tensor, second: Tensor) -> Tensor:
            pair = (images.to(device).float() / 127.5 - 1 for images in (first, second))
            return self.network(*pair).cpu()

        with torch.no_grad():
            found = diversity(outputs, distance)
        self.conditions = len(found)
        return {KEY: sum(found.values()) / len(found)}

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        told = {**super().passport(key), "value_range": "[-1, 1], from 8 bits"}
        return {**told, "conditions": self.conditions}
