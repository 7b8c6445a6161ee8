"""Label transfer: the exemplar's labels, warped by the match, against the condition's labels.

The direct measure of a correspondence, without any pretrained network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mcltoolkit.errors import DataError
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction


def transfer_counts(
    warped_labels: Tensor, labels: Tensor, ignore_label: int | None = None
) -> Tensor:
    """Counts of positions by class.

    Args:
        warped_labels: (K, h, w), weights; the transferred label is the heaviest class.
        labels: (H, W) in [0, K), resized to the grid with nearest.
        ignore_label: positions that have this label do not count.

    Returns:
        (3, K) int64: positions where both agree, transferred labels, true labels.
    """
    classes = warped_labels.shape[0]
    transferred = warped_labels.argmax(0).flatten()
    grid = (warped_labels.shape[1], warped_labels.shape[2])
    resized = F.interpolate(labels[None, None].float(), size=grid, mode="nearest")
    true = resized.flatten().long()
    if ignore_label is not None:
        counted = true != ignore_label
        transferred, true = transferred[counted], true[counted]
    return torch.stack(
        [
            values.bincount(minlength=classes)
            for values in (true[transferred == true], transferred, true)
        ]
    )


def label_accuracy(counts: Tensor) -> float:
    """Share of counted positions with the right label, from `transfer_counts` (3, K)."""
    return float(counts[0].sum() / counts[2].sum())


def label_miou(counts: Tensor, ignore_label: int | None = None) -> float:
    """Mean intersection over union, from `transfer_counts` (3, K).

    The mean is over the classes that occur, in the true or in the transferred labels; the ignored
    label is no class.
    """
    hits, transferred, true = counts
    union = transferred + true - hits
    occurs = union > 0
    if ignore_label is not None and 0 <= ignore_label < len(union):
        occurs[ignore_label] = False
    return float((hits[occurs] / union[occurs]).mean())


@METRICS.register_module()
class LabelTransfer(BaseMetric):
    """Pixel accuracy and mIoU of label transfer at grid size, over all positions of the data set.

    Keys: `label_accuracy`, `label_miou`; none where no position counts.

    Args:
        ignore_label: label of unknown positions (0 for ADE20K), or None.
        options: those of mmengine's `BaseMetric` (`collect_device`, `prefix`, `collect_dir`).
    """

    default_prefix = ""

    def __init__(self, ignore_label: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.ignore_label = ignore_label

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Count one batch of `Prediction`s; one entry a sample, as collection needs.

        Raises:
            DataError: a sample without labels of the condition or of the exemplar.
        """
        for sample in data_samples:
            warped, labels = _labels(sample)
            self.results.append(transfer_counts(warped, labels, self.ignore_label).tolist())

    def compute_metrics(self, results: list[list[list[int]]]) -> dict[str, float]:
        """Accuracy and mIoU of the summed counts."""
        if not results:
            return {}
        counts = torch.tensor(results).sum(0)
        if not counts[2].any():
            return {}
        return {
            "label_accuracy": label_accuracy(counts),
            "label_miou": label_miou(counts, self.ignore_label),
        }


def _labels(sample: Prediction) -> tuple[Tensor, Tensor]:
    if sample.labels is None or sample.warped_labels is None:
        lacks = "condition" if sample.labels is None else "exemplar"
        raise DataError(
            f"the metric LabelTransfer needs labels of both sides, but the {lacks} of "
            f"{sample.name!r} has none; use a data set that gives them, or remove LabelTransfer "
            f"from the evaluators"
        )
    return sample.warped_labels, sample.labels
