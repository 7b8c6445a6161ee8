"""How far the training is: for the losses that follow a schedule, and for the person waiting."""

from __future__ import annotations

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mcltoolkit.models.exemplar_gan import unwrap
from mcltoolkit.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Tells the model which share of the training is done."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set `model.progress`, in [0, 1)."""
        unwrap(runner.model).progress = runner.iter / runner.max_iters


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """A progress bar with elapsed and remaining time on the main process's terminal.

    Args:
        title: words before the bar.
        show: names of logged values shown beside it.
    """

    priority = "VERY_LOW"

    def __init__(self, title: str = "training", show: tuple[str, ...] = ("loss",)) -> None:
        self.title = title
        self.show = tuple(show)
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def before_train(self, runner: Runner) -> None:
        """Start the bar at the current iteration."""
        if not is_main_process():
            return
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
        )
        self.task = self.bar.add_task(
            self.title, total=runner.max_iters, completed=runner.iter, values=""
        )
        self.bar.start()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Advance; values are read every 20 steps, as reading stalls an accelerator."""
        if self.bar is None or self.task is None:
            return
        if batch_idx % 20 == 0 and outputs:
            chosen = [name for name in self.show if name in outputs]
            values = " ".join(f"{name} {float(outputs[name]):.3f}" for name in chosen)
            self.bar.update(self.task, values=values)
        self.bar.update(self.task, advance=1)

    def after_train(self, runner: Runner) -> None:
        """Leave the finished bar on the screen."""
        self.on_exception(runner)

    def on_exception(self, runner: Runner) -> None:
        """Give the terminal back."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
