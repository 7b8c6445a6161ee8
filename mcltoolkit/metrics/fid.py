"""FID: Frechet distance of InceptionV3 features (Heusel et al., NeurIPS 2017; torch-fidelity)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcltoolkit.errors import DataError
from mcltoolkit.metrics.inception import RESIZE, WIDTH, inception, torch_fidelity
from mcltoolkit.metrics.set_metric import SetMetric
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction


def fid(first: Tensor, second: Tensor, allow_small: bool = False) -> float:
    """Frechet distance of two Gaussians fitted to features.

    Args:
        first, second: (n, D) and (m, D) features.
        allow_small: take fewer samples than features, whose covariance has no full rank: the value
            is then biased upwards, by far.

    Raises:
        DataError: fewer samples than features, or fewer than 2, or features that are not finite.
        ConfigError: torch-fidelity is not installed.
    """
    check_counts(min(len(first), len(second)), first.shape[1], allow_small)
    library = torch_fidelity("metric_fid")
    statistics = [
        library.fid_features_to_statistics(finite(features).cpu().double())
        for features in (first, second)
    ]
    found = library.fid_statistics_to_metric(*statistics, verbose=False)
    return float(found[library.KEY_METRIC_FID])


def check_counts(samples: int, width: int, allow_small: bool) -> None:
    """Refuse what FID is too biased for.

    Raises:
        DataError: fewer samples than features and not allowed, or fewer than 2.
    """
    if samples < 2 or (samples < width and not allow_small):
        more = "at least 2" if allow_small or samples < 2 else f"at least {width}"
        raise DataError(
            f"FID of {samples} images: {more} are needed; with fewer than the {width} features "
            f"the value is biased upwards. Use more images, use KID, or allow it with "
            f"allow_small=True (--allow-small), which the passport tells"
        )


def finite(features: Tensor) -> Tensor:
    """The features themselves.

    Raises:
        DataError: one is not finite.
    """
    if not features.isfinite().all():
        raise DataError(
            "Inception features are not finite: an output holds NaN or the weights are broken; "
            "look at the outputs and the weights' file"
        )
    return features


def as_features(rows: list[np.ndarray]) -> Tensor:
    """(n, D) of n rows."""
    return torch.from_numpy(np.stack(rows)) if rows else torch.zeros(0, WIDTH)


class InceptionMetric(SetMetric):
    """Base of metrics of two sets of InceptionV3 features: outputs against the samples' truths.

    Args:
        weights: see `InceptionFeatures`; required.
        weights_seed: of random weights.
        options: those of mmengine's `BaseMetric`.
    """

    def __init__(
        self, weights: str | Path | None = None, weights_seed: int = 0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.shared = inception(weights, weights_seed)

    def describe(self, samples: Sequence[Prediction], role: str) -> list[np.ndarray]:
        """Features of each image, (2048,)."""
        return list(self.shared.of(samples, role).cpu().numpy())

    def release(self) -> None:
        """Free the last batch's features."""
        self.shared.forget()

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        return {
            **super().passport(key),
            "resize": RESIZE,
            "value_range": "0..255, 8 bits",
            "layers": f"InceptionV3 pool, {WIDTH} features",
            "weights_sha256": self.shared.network.fingerprint,
            "library": f"torch-fidelity {version('torch-fidelity')}",
        }


@METRICS.register_module()
class FID(InceptionMetric):
    """Frechet distance of outputs and truths. Key: `fid`; 0 is perfect, lower is better.

    Args:
        weights: see `InceptionFeatures`; required.
        allow_small: measure fewer than 2048 samples, with a large bias.
        options: `weights_seed`, and those of mmengine's `BaseMetric`.

    Raises:
        WeightsError: no weights, or they cannot be used.
        DataError: at the evaluation, too few samples, or a sample without truth.
    """

    protocols = {"fid": "fid-torch-fidelity-inception2015-1"}

    def __init__(
        self, weights: str | Path | None = None, allow_small: bool = False, **options: Any
    ) -> None:
        super().__init__(weights, **options)
        self.allow_small = allow_small

    def check_size(self, size: int) -> None:
        """Refuse a small data set on all ranks alike."""
        check_counts(size, WIDTH, self.allow_small)

    def compare(self, first: list[np.ndarray], second: list[np.ndarray]) -> dict[str, float]:
        """The distance of the two sets."""
        return {"fid": fid(as_features(first), as_features(second), self.allow_small)}

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        told = super().passport(key)
        smaller = min(told["samples"], int(told.get("reference_samples", told["samples"])))
        return {**told, "fewer_samples_than_features": smaller < WIDTH}
