"""KID: squared MMD of InceptionV3 features with a cubic kernel (Binkowski et al., ICLR 2018), by
torch-fidelity. Unlike FID it is unbiased, so it can be told for small sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics.fid import InceptionMetric, as_features, finite
from mcltoolkit.metrics.inception import torch_fidelity
from mcltoolkit.registry import METRICS


def kid(
    first: Tensor, second: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of the unbiased squared MMD, with the kernel
    (x . y / D + 1)^3.

    Args:
        first, second: (n, D) and (m, D) features.
        subsets: how many pairs of subsets are drawn.
        subset_size: samples in each, without repetition.
        seed: of the draw.

    Raises:
        DataError: a set is smaller than a subset, or features are not finite.
        ConfigError: torch-fidelity is not installed.
    """
    check_subset(min(len(first), len(second)), subset_size)
    library = torch_fidelity("metric_kid")
    found = library.kid_features_to_metric(
        finite(first).double(),
        finite(second).double(),
        kid_subsets=subsets,
        kid_subset_size=subset_size,
        rng_seed=seed,
        verbose=False,
    )
    return found[library.KEY_METRIC_KID_MEAN], found[library.KEY_METRIC_KID_STD]


def check_subset(samples: int, subset_size: int) -> None:
    """Refuse subsets that the samples do not fill.

    Raises:
        DataError: fewer samples than a subset holds.
    """
    if samples < subset_size:
        raise DataError(
            f"KID of {samples} images with subset_size={subset_size}: a subset holds at most all "
            f"images; use more images, or set a smaller subset_size (--kid-subset-size), which the "
            f"passport tells"
        )


@METRICS.register_module()
class KID(InceptionMetric):
    """Kernel distance of outputs and truths. Keys: `kid`, and `kid_std` over the subsets.

    The value may be slightly below 0 for equal distributions, since it is unbiased.

    Args:
        weights: see `InceptionFeatures`; required.
        subsets, subset_size, seed: see `kid`.
        options: `weights_seed`, and those of mmengine's `BaseMetric`.

    Raises:
        ConfigError: a count below its least.
        WeightsError: no weights, or they cannot be used.
        DataError: at the evaluation, too few samples, or a sample without truth.
    """

    protocols = {
        "kid": "kid-torch-fidelity-poly3-unbiased-1",
        "kid_std": "kid-torch-fidelity-poly3-unbiased-1",
    }

    def __init__(
        self,
        weights: str | Path | None = None,
        subsets: int = 100,
        subset_size: int = 1000,
        seed: int = 0,
        **options: Any,
    ) -> None:
        for name, value, least in (("subsets", subsets, 1), ("subset_size", subset_size, 2)):
            if value < least:
                raise ConfigError(f"KID.{name} is {value}; allowed are values >= {least}")
        super().__init__(weights, **options)
        self.subsets, self.subset_size, self.seed = subsets, subset_size, seed

    def check_size(self, size: int) -> None:
        """Refuse a small data set on all ranks alike."""
        check_subset(size, self.subset_size)

    def compare(self, first: list[np.ndarray], second: list[np.ndarray]) -> dict[str, float]:
        """The distance of the two sets."""
        sets = as_features(first), as_features(second)
        mean, deviation = kid(*sets, self.subsets, self.subset_size, self.seed)
        return {"kid": mean, "kid_std": deviation}

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        drawn = {"subsets": self.subsets, "subset_size": self.subset_size, "seed": self.seed}
        return {**super().passport(key), **drawn}
