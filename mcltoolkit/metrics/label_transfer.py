"""Label transfer: the exemplar's labels, warped by the match, against the condition's labels.

The direct measure of a correspondence, without any pretrained network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import DataError
from mcltoolkit.metrics.measured import MeasuredMetric, size_of
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
class LabelTransfer(MeasuredMetric):
    """Pixel accuracy and mIoU of label transfer at grid size, over all positions of the data set.

    Keys: `label_accuracy`, `label_miou`; none where no position counts.

    Args:
        ignore_label: label of unknown positions (0 for ADE20K), or None.
        options: those of mmengine's `BaseMetric` (`collect_device`, `prefix`, `collect_dir`).

    Attributes:
        per_class: after `evaluate`, on the main process: positions by class that occurs, `hits`,
            `transferred` and `true` as in `transfer_counts`.
    """

    protocols = {
        "label_accuracy": "label-transfer-accuracy-1",
        "label_miou": "label-transfer-miou-occurring-1",
    }

    def __init__(self, ignore_label: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.ignore_label = ignore_label
        self.per_class: dict[int, dict[str, int]] = {}

    def measure(self, samples: Sequence[Prediction]) -> list[list[list[int]]]:
        """Counts of each sample of a batch, see `transfer_counts`.

        Raises:
            DataError: a sample without labels of the condition or of the exemplar, or with warped
                labels that are not finite.
        """
        return [transfer_counts(*_labels(sample), self.ignore_label).tolist() for sample in samples]

    def values_of(self, entry: list[list[int]]) -> dict[str, float]:
        """Accuracy and mIoU of a sample."""
        return self._scores(torch.tensor(entry))

    def reduce(self, entries: list[list[list[int]]]) -> dict[str, float]:
        """Accuracy and mIoU of the summed counts; keeps the counts of each class."""
        self.per_class = {}
        if not entries:
            return {}
        counts = torch.tensor(entries).sum(0)
        for index, (hits, transferred, true) in enumerate(counts.T.tolist()):
            if transferred or true:
                self.per_class[index] = {"hits": hits, "transferred": transferred, "true": true}
        return self._scores(counts)

    def facts_of(self, sample: Prediction) -> dict[str, str]:
        """The grid on which labels are compared."""
        assert sample.warped_labels is not None
        return {**super().facts_of(sample), "grid": size_of(sample.warped_labels)}

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        told = {"ignore_label": self.ignore_label, "resize": "labels to the grid, nearest"}
        return {**super().passport(key), **told}

    def _scores(self, counts: Tensor) -> dict[str, float]:
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
    if not sample.warped_labels.isfinite().all():
        raise DataError(
            f"the warped labels of {sample.name!r} hold NaN or infinite weights, which no metric "
            f"can measure; look for the cause in the training's losses, or use an earlier "
            f"checkpoint"
        )
    return sample.warped_labels, sample.labels
