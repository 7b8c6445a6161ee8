"""PSNR, SSIM and L1 against the truth, with two baselines: copying the exemplar, and the warp.

PSNR and SSIM (Wang et al., IEEE TIP 2004; Gaussian window of 11, sigma 1.5) are torchmetrics'.
All are computed per image in the range [0, 1] and averaged over images.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType
from typing import Any

from torch import Tensor

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics.sample_metric import SampleMetric
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction

PSNR_CEILING = 100.0
"""PSNR of identical images, which would be infinite and spoil every average."""
SMALLEST = 6
"""Side that SSIM's window, mirrored at the border, needs."""


def psnr(image: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, at most `PSNR_CEILING`; (C, H, W) images in [-1, 1]."""
    value = _torchmetrics().peak_signal_noise_ratio(
        _unit_range(image), _unit_range(truth), data_range=1.0
    )
    return min(float(value), PSNR_CEILING)


def ssim(image: Tensor, truth: Tensor) -> float:
    """Structural similarity in [-1, 1]; (C, H, W) images in [-1, 1], sides of at least 6.

    The mean is over all pixels, the image mirrored at its border (torchmetrics' rule); libraries
    that leave the border out give slightly other values.

    Raises:
        DataError: smaller images.
    """
    if min(image.shape[1:]) < SMALLEST:
        raise DataError(
            f"SSIM of images of {image.shape[1]}x{image.shape[2]}: both sides must be at least "
            f"{SMALLEST}, half of its window; use larger images"
        )
    value = _torchmetrics().structural_similarity_index_measure(
        _unit_range(image)[None], _unit_range(truth)[None], data_range=1.0
    )
    return float(value)


def l1(image: Tensor, truth: Tensor) -> float:
    """Mean absolute difference in [0, 1]; (C, H, W) images in [-1, 1]."""
    return float((_unit_range(image) - _unit_range(truth)).abs().mean())


@METRICS.register_module()
class ImageQuality(SampleMetric):
    """Likeness to the truth, over paired samples only: elsewhere there is no one right answer.

    Keys: `psnr`, `ssim`, `l1` of the output; `psnr_copy_exemplar` and `psnr_warped` for the plain
    copy of the exemplar and for the warped exemplar. Without a paired sample there are no keys,
    and without an exemplar of the truth's size no `psnr_copy_exemplar`.

    Args:
        options: those of mmengine's `BaseMetric` (`collect_device`, `prefix`, `collect_dir`).

    Raises:
        ConfigError: torchmetrics is not installed.
    """

    protocols = {
        "psnr": "psnr-torchmetrics-1",
        "ssim": "ssim-torchmetrics-gaussian11-1",
        "l1": "l1-1",
        "psnr_warped": "psnr-torchmetrics-1",
        "psnr_copy_exemplar": "psnr-torchmetrics-1",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _torchmetrics()  # fail before training, not at the first evaluation

    def measure(self, samples: Sequence[Prediction]) -> list[dict[str, float]]:
        """Values of each sample of a batch."""
        return [_measure(sample) for sample in samples]

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        told = {**super().passport(key), "value_range": "[0, 1]", "resize": "none"}
        return told if key == "l1" else {**told, "library": f"torchmetrics {_version()}"}


def _measure(sample: Prediction) -> dict[str, float]:
    truth = sample.truth
    if not sample.paired or truth is None:
        return {}
    values = {
        "psnr": psnr(sample.fake, truth),
        "ssim": ssim(sample.fake, truth),
        "l1": l1(sample.fake, truth),
    }
    if sample.warped is not None:
        values["psnr_warped"] = psnr(sample.warped, truth)
    if sample.exemplar is not None and sample.exemplar.shape == truth.shape:
        values["psnr_copy_exemplar"] = psnr(sample.exemplar, truth)
    return values


def _unit_range(image: Tensor) -> Tensor:
    return ((image.detach().float() + 1) / 2).clamp(0, 1)


def _version() -> str:
    return version("torchmetrics")


def _torchmetrics() -> ModuleType:
    try:
        from torchmetrics.functional import image
    except ImportError as error:
        raise ConfigError(
            f"the metric ImageQuality needs torchmetrics, which cannot be imported ({error}); "
            f"run `pip install mcltoolkit[metrics]`, or remove ImageQuality from the evaluators"
        ) from error
    return image
