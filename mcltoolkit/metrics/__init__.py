"""Metrics: each reads `Prediction`s, and tells in a passport how its values were made.

FID, KID, LPIPS, style relevance and semantic consistency look with a pretrained network, whose
weights have to be named; the others need none.
"""

from mcltoolkit.metrics.cycle import CycleError, cycle_error
from mcltoolkit.metrics.diversity import LPIPSDiversity, diversity
from mcltoolkit.metrics.fid import FID, fid
from mcltoolkit.metrics.image_quality import ImageQuality, l1, psnr, ssim
from mcltoolkit.metrics.inception import InceptionFeatures
from mcltoolkit.metrics.kid import KID, kid
from mcltoolkit.metrics.label_transfer import (
    LabelTransfer,
    label_accuracy,
    label_miou,
    transfer_counts,
)
from mcltoolkit.metrics.match_entropy import MatchEntropy, match_entropy
from mcltoolkit.metrics.measured import MeasuredMetric
from mcltoolkit.metrics.pck import PCK, matched_positions, pck_counts, true_positions
from mcltoolkit.metrics.perceptual_distance import LPIPS, LPIPSNetwork
from mcltoolkit.metrics.results import (
    Result,
    check_comparable,
    read_results,
    results_of,
    write_results,
)
from mcltoolkit.metrics.sample_metric import SampleMetric
from mcltoolkit.metrics.semantic import SemanticConsistency, region_consistency
from mcltoolkit.metrics.style import StyleRelevance, feature_cosine, statistics_cosine
from mcltoolkit.metrics.swd import SWD, laplacian_pyramid, patches_of, swd

__all__ = [
    "CycleError",
    "FID",
    "ImageQuality",
    "InceptionFeatures",
    "KID",
    "LPIPS",
    "LPIPSDiversity",
    "LPIPSNetwork",
    "LabelTransfer",
    "MatchEntropy",
    "MeasuredMetric",
    "PCK",
    "Result",
    "SWD",
    "SampleMetric",
    "SemanticConsistency",
    "StyleRelevance",
    "check_comparable",
    "cycle_error",
    "diversity",
    "feature_cosine",
    "fid",
    "kid",
    "l1",
    "label_accuracy",
    "label_miou",
    "laplacian_pyramid",
    "match_entropy",
    "matched_positions",
    "patches_of",
    "pck_counts",
    "psnr",
    "read_results",
    "region_consistency",
    "results_of",
    "ssim",
    "statistics_cosine",
    "swd",
    "transfer_counts",
    "true_positions",
    "write_results",
]
