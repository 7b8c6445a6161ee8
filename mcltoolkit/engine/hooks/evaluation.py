"""What an evaluation needs is looked at before its first batch, not after its last."""

from __future__ import annotations

from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mcltoolkit.errors import ToolkitError
from mcltoolkit.metrics.measured import MeasuredMetric


class EvaluationHook(Hook):
    """Prepares the metrics of validations and tests; the runner has it by itself.

    Before anything is trained or tested, each metric is asked whether it takes a data set of that
    size: all ranks know it, so all stop alike. What an evaluation that broke left behind is
    cleared, and passports learn which data set is measured.

    Raises:
        DataError: a metric refuses the data set; names the setting.
    """

    priority = "VERY_HIGH"

    def before_run(self, runner: Any) -> None:
        """Ask the metrics of the loops that will run."""
        for name in ("val", "test"):
            loop = getattr(runner, f"_{name}_loop", None)
            if isinstance(loop, BaseLoop) and hasattr(loop, "evaluator"):
                check_metrics(loop.evaluator.metrics, loop.dataloader.dataset, f"{name}_evaluator")

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin a validation."""
        _begin(runner.val_loop)

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin a test."""
        _begin(runner.test_loop)


def check_metrics(metrics: Any, dataset: Any, setting: str) -> None:
    """Let each metric refuse the data set's size.

    Args:
        metrics: of an evaluator.
        dataset: what they will measure.
        setting: of the evaluator, for messages.

    Raises:
        ToolkitError: as the metric raised it, with the setting's name.
    """
    for metric in metrics:
        if isinstance(metric, MeasuredMetric):
            try:
                metric.check_size(len(dataset))
            except ToolkitError as error:
                raise type(error)(f"{setting}: {error}") from error


def described_dataset(dataset: Any) -> str:
    """A data set for the reader of a passport: its type and length, and its `split` and
    `data_root`, where it has these attributes."""
    told = [type(getattr(dataset, "dataset", dataset)).__name__]
    split, root = (getattr(dataset, name, None) for name in ("split", "data_root"))
    if split:
        told.append(f"split {split}")
    told.append(f"{len(dataset)} samples")
    if root:
        told.append(f"of {root}")
    return ", ".join(told)


def _begin(loop: Any) -> None:
    if not hasattr(loop, "evaluator"):  # a loop of the user's own
        return
    for metric in loop.evaluator.metrics:
        if isinstance(metric, BaseMetric):
            metric.results.clear()
        if isinstance(metric, MeasuredMetric):
            metric.data = described_dataset(loop.dataloader.dataset)
