"""Metrics: each reads `Prediction`s and needs no pretrained network."""

from mcltoolkit.metrics.cycle import CycleError, cycle_error
from mcltoolkit.metrics.image_quality import ImageQuality, l1, psnr, ssim
from mcltoolkit.metrics.label_transfer import (
    LabelTransfer,
    label_accuracy,
    label_miou,
    transfer_counts,
)
from mcltoolkit.metrics.match_entropy import MatchEntropy, match_entropy
from mcltoolkit.metrics.measured import MeasuredMetric
from mcltoolkit.metrics.pck import PCK, matched_positions, pck_counts, true_positions
from mcltoolkit.metrics.results import (
    Result,
    check_comparable,
    read_results,
    results_of,
    write_results,
)
from mcltoolkit.metrics.sample_metric import SampleMetric

__all__ = [
    "CycleError",
    "ImageQuality",
    "LabelTransfer",
    "MatchEntropy",
    "MeasuredMetric",
    "PCK",
    "Result",
    "SampleMetric",
    "check_comparable",
    "cycle_error",
    "l1",
    "label_accuracy",
    "label_miou",
    "match_entropy",
    "matched_positions",
    "pck_counts",
    "psnr",
    "read_results",
    "results_of",
    "ssim",
    "transfer_counts",
    "true_positions",
    "write_results",
]
