"""The report after testing, and the record that comparisons of several tests read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mcltoolkit.engine.agreement import of_all_ranks
from mcltoolkit.engine.hooks.pictures import Collector
from mcltoolkit.engine.hooks.samples import by_index, translate_again, values_by_index
from mcltoolkit.files import write_json
from mcltoolkit.layers.ranks import several_ranks
from mcltoolkit.metrics.results import results_of, write_results
from mcltoolkit.registry import HOOKS
from mcltoolkit.structures import Prediction
from mcltoolkit.visualization import prediction_grid, save_png, translation_report
from mcltoolkit.visualization.extremes import Extremes, Shown, choose_extremes
from mcltoolkit.visualization.record import NAME, write_record
from mcltoolkit.visualization.scalars import Files, read_scalars


@HOOKS.register_module()
class ReportHook(Collector):
    """Writes `metrics.json`, `grid.png`, `report.html` and `record/` after a test; where labels
    are transferred also `label_transfer.json`, {class: {hits, transferred, true}} in positions.

    Shown are the first samples of the data set, and the best, median and worst ones. The latter
    are known only at the end and are then translated once more.

    Args:
        out_dir: folder for the files; None is the work directory.
        samples: samples shown from the beginning of the data set.
        title: heading of the report.
        facts: further facts to print in the report, by name.
        scalars_file: mmengine's `scalars.json` of the training, or several of a resumed one,
            oldest first, for the curves.

    Attributes:
        config: the whole config, for the record; `launch.test` sets it.
    """

    # before EMAHook puts the trained weights back, so that samples are translated as tested
    priority = "ABOVE_NORMAL"

    def __init__(
        self,
        out_dir: str | None = None,
        samples: int = 8,
        title: str = "Translation report",
        facts: dict[str, Any] | None = None,
        scalars_file: Files | None = None,
    ) -> None:
        super().__init__(samples)
        self.out_dir = out_dir
        self.title = title
        self.facts = dict(facts or {})
        self.scalars_file = scalars_file
        self.config: Mapping[str, Any] = {}
        self.names: list[str] = []

    def before_test_epoch(self, runner: Runner) -> None:
        """Forget an earlier test's predictions."""
        self.kept.clear()
        self.names.clear()

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the first predictions, and all names."""
        self._keep(outputs)
        self.names += [prediction.name for prediction in outputs or []]

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the files."""
        names = by_index(runner, self.names)
        values: dict[int, dict[str, float]] = {}
        chosen: Extremes[int] = Extremes()
        if is_main_process():
            values = values_by_index(names, runner.test_loop.evaluator.metrics)
            chosen = choose_extremes(values)
        chosen = of_all_ranks(chosen)[0]
        first = list(names)[: self.samples]
        # of several ranks the main process has only a part, of a shuffled order any samples
        has_first = not several_ranks() and [p.name for p in self.kept] == [names[i] for i in first]
        found = dict(zip(first, self.kept, strict=True)) if has_first else {}
        wanted = [*first, *(i for group in chosen.groups.values() for i in group)]
        missing = [index for index in dict.fromkeys(wanted) if index not in found]
        found.update(translate_again(runner, names, missing))
        if not is_main_process():
            return
        if names:
            first = [index for index in first if index in found]
            self.kept = [found[index] for index in first]
        of_first = [values.get(index, {}) for index in first]
        further = [
            Shown(found[index], values.get(index, {}), (group,))
            for group, indices in chosen.groups.items()
            for index in indices
            if index in found
        ]
        self._write(runner, metrics or {}, of_first, further, chosen)
        self.kept.clear()

    def _write(
        self,
        runner: Runner,
        metrics: Mapping[str, float],
        values: list[dict[str, float]],
        further: list[Shown],
        extremes: Extremes[int],
    ) -> None:
        folder = Path(self.out_dir or runner.work_dir)
        folder.mkdir(parents=True, exist_ok=True)
        evaluated = runner.test_loop.evaluator.metrics
        results = results_of(evaluated, {name: float(value) for name, value in metrics.items()})
        write_results(folder / "metrics.json", results)
        per_class = _counts_by_class(evaluated)
        if per_class:
            write_json(folder / "label_transfer.json", {str(k): v for k, v in per_class.items()})
        info = runner.test_dataloader.dataset.metainfo
        palette, shown = info.get("palette"), info.get("shown_channels")
        save_png(prediction_grid(self.kept, palette, shown), folder / "grid.png")
        translation_report(
            folder / "report.html",
            self.kept,
            {name: result.value for name, result in results.items()},
            palette=palette,
            classes=info.get("classes"),
            scalars_file=self.scalars_file,
            title=self.title,
            facts=self.facts,
            shown_channels=shown,
            rows=max(len(self.kept), 1),
            passports={name: result.passport for name, result in results.items()},
            further=further,
            extremes=extremes,
            values=values,
            per_class=per_class,
        )
        write_record(
            folder / NAME,
            _without_repeats(self.kept, values, further),
            palette,
            shown,
            read_scalars(self.scalars_file) if self.scalars_file else {},
            self.config,
        )
        runner.logger.info(f"report: {folder / 'report.html'}")


def _counts_by_class(metrics: Any) -> Mapping[int, Mapping[str, int]]:
    found = (metric.per_class for metric in metrics if getattr(metric, "per_class", None))
    return next(found, {})


def _without_repeats(
    kept: list[Prediction], values: list[dict[str, float]], further: list[Shown]
) -> list[Shown]:
    """Each sample once, with all groups that it belongs to."""
    first = [Shown(p, values[i] if i < len(values) else {}) for i, p in enumerate(kept)]
    merged: dict[tuple[str, str], Shown] = {}
    for sample in (*first, *further):
        key = (sample.prediction.name, sample.prediction.exemplar_name)
        before = merged.get(key)
        groups = (*before.groups, *sample.groups) if before else sample.groups
        merged[key] = Shown(sample.prediction, sample.values, tuple(dict.fromkeys(groups)))
    return list(merged.values())
