"""Plugins look on while a run trains and is evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mcltoolkit.plugins import Implementation, implementations


class ObserverHook(Hook):
    """Calls the hooks `observe_step` and `observe_evaluation` of plugins.

    A plugin that fails is reported once, as a PluginWarning, and not called again in this run; the
    run goes on.
    """

    priority = "LOWEST"

    def __init__(self, steps: list[Implementation], evaluations: list[Implementation]) -> None:
        self.steps = steps
        self.evaluations = evaluations
        self.loaded_step = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember how long the network has trained that a test will look at."""
        self.loaded_step = int(checkpoint.get("meta", {}).get("iter", 0))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Show the step's losses."""
        self.steps = _call(
            self.steps,
            step=runner.iter + 1,
            losses=dict(outputs or {}),
            work_dir=Path(runner.work_dir),
        )

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Show a validation's metrics."""
        self._evaluated(runner.iter, runner, "val", metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Show a test's metrics."""
        self._evaluated(max(runner.iter, self.loaded_step), runner, "test", metrics)

    def _evaluated(
        self, step: int, runner: Runner, stage: str, metrics: dict[str, float] | None
    ) -> None:
        self.evaluations = _call(
            self.evaluations,
            step=step,
            stage=stage,
            metrics=dict(metrics or {}),
            work_dir=Path(runner.work_dir),
        )


def observer_hook() -> ObserverHook | None:
    """The hook, if any plugin looks on."""
    steps, evaluations = implementations("observe_step"), implementations("observe_evaluation")
    return ObserverHook(steps, evaluations) if steps or evaluations else None


def _call(plugins: list[Implementation], **seen: Any) -> list[Implementation]:
    """Call each with what there is to see; those that did not fail."""
    working = []
    for plugin in plugins:
        try:
            plugin.call(**seen)
            working.append(plugin)
        except Exception as error:
            plugin.warn(error)
    return working
