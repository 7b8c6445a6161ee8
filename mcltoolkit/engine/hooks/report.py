"""The report after testing, and the record that comparisons of several tests read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mcltoolkit.engine.agreement import of_all_ranks
from mcltoolkit.engine.hooks.pictures import Collector
from mcltoolkit.engine.hooks.samples import (
    DrawnSample,
    by_index,
    same_value,
    translate_again,
    values_by_index,
)
from mcltoolkit.errors import ToolkitError
from mcltoolkit.files import write_json
from mcltoolkit.metrics.results import results_of, write_results
from mcltoolkit.registry import HOOKS
from mcltoolkit.visualization import prediction_grid, save_png, translation_report
from mcltoolkit.visualization.extremes import Extremes, Shown, choose_extremes
from mcltoolkit.visualization.record import NAME, forget_record, write_record
from mcltoolkit.visualization.scalars import Files, Series, read_scalars

TRANSFER = "label_transfer.json"


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
        self.names: list[tuple[str, str]] = []

    def before_test_epoch(self, runner: Runner) -> None:
        """Forget an earlier test's predictions."""
        self.kept.clear()
        self.names.clear()

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep the first predictions, and all names."""
        self._keep(outputs)
        self.names += [(p.name, p.exemplar_name) for p in outputs or []]

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the files."""
        tested = by_index(runner, self.names)
        values: dict[int, dict[str, float]] = {}
        plan: tuple[Extremes[int], list[int], list[int]] = (Extremes(), [], [])
        # the main process's first samples are here already, under their indices
        found = dict(zip(_own(tested, len(self.kept)), self.kept, strict=False))
        kept = [Shown(p, index=i) for i, p in found.items()] if tested else []
        evaluated = runner.test_loop.evaluator.metrics
        if is_main_process():
            in_order = sorted(tested, key=lambda index: tested[index].place)
            values = values_by_index({i: tested[i].name for i in in_order}, evaluated)
            chosen = choose_extremes(dict(sorted(values.items())))
            first = list(tested)[: self.samples]
            wanted = [*first, *(i for group in chosen.groups.values() for i in group)]
            plan = (chosen, first, [i for i in dict.fromkeys(wanted) if i not in found])
        extremes, first, missing = of_all_ranks(plan)[0]
        again = translate_again(runner, tested, missing)
        if not is_main_process():
            return
        by = extremes.by
        found |= {
            index: prediction
            for index, prediction in again.items()
            if same_value(prediction, by, values[index].get(by), evaluated)
        }
        shown = [Shown(found[i], index=i) for i in first if i in found]
        # samples that cannot be had again: those of the test's beginning instead
        shown = max(shown, kept, key=len) if tested else [Shown(p) for p in self.kept]
        shown = [s if s.index is None else replace(s, values=values[s.index]) for s in shown]
        further = [
            Shown(found[index], values.get(index, {}), (group,), index)
            for group, indices in extremes.groups.items()
            for index in indices
            if index in found
        ]
        left_out = [tested[index].name for index in missing if index not in found]
        self._write(runner, metrics or {}, shown, further, extremes, left_out)
        self.kept.clear()

    def _write(
        self,
        runner: Runner,
        metrics: Mapping[str, float],
        first: list[Shown],
        further: list[Shown],
        extremes: Extremes[int],
        left_out: list[str],
    ) -> None:
        folder = Path(self.out_dir or runner.work_dir)
        folder.mkdir(parents=True, exist_ok=True)
        evaluated = runner.test_loop.evaluator.metrics
        results = results_of(evaluated, {name: float(value) for name, value in metrics.items()})
        # an earlier test's files go first: they would stand beside this one's if it were stopped
        forget_record(folder / NAME)
        (folder / TRANSFER).unlink(missing_ok=True)
        write_results(folder / "metrics.json", results)
        per_class = _counts_by_class(evaluated)
        if per_class:
            write_json(folder / TRANSFER, {str(k): v for k, v in per_class.items()})
        info = runner.test_dataloader.dataset.metainfo
        palette, shown = info.get("palette"), info.get("shown_channels")
        predictions = [sample.prediction for sample in first]
        facts = dict(self.facts)
        if left_out:
            told = f"{', '.join(left_out)}: the data set gave another sample the second time"
            runner.logger.warning(f"left out of the report's pictures: {told}")
            facts["samples left out"] = told
        save_png(prediction_grid(predictions, palette, shown), folder / "grid.png")
        scalars = self._scalars(runner)
        translation_report(
            folder / "report.html",
            predictions,
            {name: result.value for name, result in results.items()},
            palette=palette,
            classes=info.get("classes"),
            scalars=scalars,
            title=self.title,
            facts=facts,
            shown_channels=shown,
            rows=max(len(predictions), 1),
            passports={name: result.passport for name, result in results.items()},
            further=further,
            extremes=extremes,
            values=[sample.values for sample in first],
            per_class=per_class,
        )
        record = _without_repeats([*first, *further])
        write_record(folder / NAME, record, palette, shown, scalars, self.config)
        runner.logger.info(f"report: {folder / 'report.html'}")

    def _scalars(self, runner: Runner) -> dict[str, Series]:
        """The training's scalars; a broken file costs the curves, not the test."""
        if not self.scalars_file:
            return {}
        try:
            return read_scalars(self.scalars_file)
        except ToolkitError as error:
            runner.logger.warning(f"the report has no curves: {error}")
            return {}


def _own(tested: Mapping[int, DrawnSample], count: int) -> list[int]:
    """Indices of the main process's first samples, in the order in which it had them."""
    own = sorted((t.place, index) for index, t in tested.items() if t.rank == 0)
    return [index for _, index in own[:count]]


def _counts_by_class(metrics: Any) -> Mapping[int, Mapping[str, int]]:
    found = (metric.per_class for metric in metrics if getattr(metric, "per_class", None))
    return next(found, {})


def _without_repeats(shown: list[Shown]) -> list[Shown]:
    """Each sample once, with all groups that it belongs to."""
    merged: dict[Any, Shown] = {}
    for number, sample in enumerate(shown):
        key = ("unknown", number) if sample.index is None else sample.index
        before = merged.get(key)
        groups = (*before.groups, *sample.groups) if before else sample.groups
        merged[key] = replace(sample, groups=tuple(dict.fromkeys(groups)))
    return list(merged.values())
