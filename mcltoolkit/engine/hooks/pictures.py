"""Pictures while validating, and the report after testing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mcltoolkit.files import write_json
from mcltoolkit.metrics.results import results_of, write_results
from mcltoolkit.registry import HOOKS
from mcltoolkit.structures import Prediction
from mcltoolkit.visualization import prediction_grid, save_png, translation_report


class _Collector(Hook):
    """Keeps the first predictions of an evaluation on the main process."""

    priority = "LOW"

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.kept: list[Prediction] = []

    def _keep(self, outputs: Any) -> None:
        if is_main_process() and outputs:
            self.kept.extend(outputs[: max(0, self.samples - len(self.kept))])


@HOOKS.register_module()
class GridHook(_Collector):
    """Writes a grid (condition, exemplar, warped, output, truth) at every validation.

    It lands in `WORK_DIR/grids/iter_N.png` and in every backend of the visualizer (TensorBoard).

    Args:
        samples: rows of the grid.
    """

    def __init__(self, samples: int = 6) -> None:
        super().__init__(samples)

    def before_val_epoch(self, runner: Runner) -> None:
        """Forget the last validation's predictions."""
        self.kept.clear()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the first predictions."""
        self._keep(outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the grid."""
        if not self.kept:
            return
        info = runner.val_dataloader.dataset.metainfo
        grid = prediction_grid(self.kept, info.get("palette"), info.get("shown_channels"))
        save_png(grid, Path(runner.work_dir) / "grids" / f"iter_{runner.iter:06d}.png")
        runner.visualizer.add_image("translation", grid, step=runner.iter)
        self.kept.clear()


@HOOKS.register_module()
class ReportHook(_Collector):
    """Writes `metrics.json`, `grid.png` and `report.html` after a test; where labels are
    transferred also `label_transfer.json`, {class: {hits, transferred, true}} in positions.

    Args:
        out_dir: folder for the files; None is the work directory.
        samples: samples shown.
        title: heading of the report.
        facts: further facts to print in the report, by name.
        scalars_file: mmengine's `scalars.json` of the training, for the curves.
    """

    def __init__(
        self,
        out_dir: str | None = None,
        samples: int = 8,
        title: str = "Translation report",
        facts: dict[str, Any] | None = None,
        scalars_file: str | None = None,
    ) -> None:
        super().__init__(samples)
        self.out_dir = out_dir
        self.title = title
        self.facts = dict(facts or {})
        self.scalars_file = scalars_file

    def before_test_epoch(self, runner: Runner) -> None:
        """Forget an earlier test's predictions."""
        self.kept.clear()

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the first predictions."""
        self._keep(outputs)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the files."""
        if not is_main_process():
            return
        folder = Path(self.out_dir or runner.work_dir)
        folder.mkdir(parents=True, exist_ok=True)
        values = {name: float(value) for name, value in (metrics or {}).items()}
        results = results_of(runner.test_loop.evaluator.metrics, values)
        write_results(folder / "metrics.json", results)
        for metric in runner.test_loop.evaluator.metrics:
            if getattr(metric, "per_class", None):
                write_json(folder / "label_transfer.json", metric.per_class)
        info = runner.test_dataloader.dataset.metainfo
        palette, shown = info.get("palette"), info.get("shown_channels")
        save_png(prediction_grid(self.kept, palette, shown), folder / "grid.png")
        translation_report(
            folder / "report.html",
            self.kept,
            values,
            palette=palette,
            classes=info.get("classes"),
            scalars_file=Path(self.scalars_file) if self.scalars_file else None,
            title=self.title,
            facts=self.facts,
            shown_channels=shown,
        )
        self.kept.clear()
        runner.logger.info(f"report: {folder / 'report.html'}")
