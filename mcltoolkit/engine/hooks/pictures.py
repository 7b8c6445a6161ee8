"""Pictures and curves while validating."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mcltoolkit.files import write_atomically
from mcltoolkit.registry import HOOKS
from mcltoolkit.structures import Prediction
from mcltoolkit.visualization import prediction_grid, save_png
from mcltoolkit.visualization.curves import draw_curves
from mcltoolkit.visualization.extremes import check_samples
from mcltoolkit.visualization.scalars import find_scalars, group_scalars, read_scalars


class Collector(Hook):
    """Keeps the first predictions of an evaluation on the main process.

    Raises:
        ConfigError: fewer than 1 of them.
    """

    priority = "LOW"

    def __init__(self, samples: int) -> None:
        self.samples = check_samples(samples)
        self.kept: list[Prediction] = []

    def _keep(self, outputs: Any) -> None:
        if is_main_process() and outputs:
            self.kept.extend(outputs[: max(0, self.samples - len(self.kept))])


@HOOKS.register_module()
class GridHook(Collector):
    """Writes a grid (condition, exemplar, warped, output, truth) at every validation.

    It lands in `WORK_DIR/grids/iter_NNNNNN.png` and in every backend of the visualizer.

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
class CurvesHook(Hook):
    """Draws what was logged so far at every validation, as `WORK_DIR/curves.svg`.

    Losses, metrics and the figures of the collapse alarm (match entropy, coverage) are read from
    the scalars that mmengine's `LocalVisBackend` wrote, those of earlier runs in the same work
    directory included. Without that backend there is nothing to draw. A file that cannot be read
    or drawn is told once; a training does not end for it.
    """

    priority = "LOWEST"  # after the log of the same validation is written

    def __init__(self) -> None:
        self.told = False

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the curves."""
        if not is_main_process():
            return
        try:
            self._draw(Path(runner.work_dir))
        except Exception as error:  # the other ranks would wait for this one
            if not self.told:
                print_log(f"curves.svg cannot be drawn: {error}", "current", logging.WARNING)
            self.told = True

    def _draw(self, folder: Path) -> None:
        scalars = read_scalars(find_scalars(folder))
        if not group_scalars(list(scalars)):
            return
        write_atomically(folder / "curves.svg", draw_curves(scalars, "svg", paper=True))
