"""Several tests side by side: their numbers, the same samples, their configs and their curves."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image as PillowImage

from mcltoolkit.engine.provenance import ABSENT, differences
from mcltoolkit.errors import ConfigError, DataError, described, near_matches
from mcltoolkit.metrics.results import Result, check_comparable, read_results
from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.curves import comparison_panels
from mcltoolkit.visualization.extremes import check_samples
from mcltoolkit.visualization.glossary import METRICS, meaning, write_number
from mcltoolkit.visualization.record import NAME, Record, RecordedSample, read_record
from mcltoolkit.visualization.report import Report
from mcltoolkit.visualization.sample_sections import LARGEST_SIDE
from mcltoolkit.visualization.sheets import shrink

BEST_TEXT = "The best value of a row is set in colour, where a metric has a better and a worse end."
PROTOCOL_TEXT = (
    "All values of a row were measured in the same way; how can be read in each run's own report."
)
OTHER_DATA = (
    "The runs were tested on different data: their records have no sample in common. So their "
    "values cannot be compared, and none is marked as the best."
)
SampleKey: TypeAlias = "tuple[int | None, str, str]"
INTERNAL = ("work_dir", "load_from", "resume", "launcher", "filename")
"""Settings that tell where a run happened, not what it was."""


@dataclass(frozen=True)
class TestedRun:
    """A test that a comparison reads.

    Attributes:
        name: short, and different for each run of a comparison.
        folder: with `metrics.json` and `record/`.
    """

    name: str
    folder: Path
    results: dict[str, Result]
    record: Record


def find_test(folder: str | os.PathLike[str]) -> Path:
    """The folder of a test: the one that is named, or `test/` in it.

    Raises:
        ConfigError: there is none in it.
    """
    folder = Path(folder)
    for place in (folder, folder / "test"):
        if (place / "metrics.json").is_file() and (place / NAME / "samples.json").is_file():
            return place
    found = "does not exist" if not folder.is_dir() else "holds no test"
    lacking = [
        str(place / name)
        for place in (folder, folder / "test")
        for name in ("metrics.json", f"{NAME}/samples.json")
        if folder.is_dir() and not (place / name).is_file()
    ]
    raise ConfigError(
        f"{folder} {found}{': not there are ' + ', '.join(lacking) if lacking else ''}; run "
        f"`python tools/test.py CONFIG CHECKPOINT`, then give its output folder (WORK_DIR/test) or "
        f"the work folder"
    )


def read_tests(folders: Sequence[str | os.PathLike[str]]) -> list[TestedRun]:
    """Read tests.

    Raises:
        ConfigError: fewer than two folders, one named twice, or one without a test.
        DataError: a file of a test is broken.
    """
    places = [find_test(folder) for folder in folders]
    whole = [place.resolve() for place in places]
    if len(places) < 2 or len(set(whole)) < len(whole):
        raise ConfigError(
            f"a comparison needs two or more different tests; given are "
            f"{', '.join(map(str, folders)) or 'none'}"
        )
    return [
        TestedRun(name, place, read_results(place / "metrics.json"), read_record(place / NAME))
        for name, place in zip(_short_names(whole), places, strict=True)
    ]


def comparison_report(
    runs: Sequence[TestedRun],
    path: str | os.PathLike[str],
    samples: int = 8,
    without: Sequence[str] = (),
) -> Path:
    """Write the comparison as one HTML file.

    Args:
        runs: from `read_tests`.
        samples: samples shown, of those that all runs have.
        without: metrics to leave out, such as one that was measured in different ways.

    Raises:
        ConfigError: a metric was measured in different ways, or one to leave out is in no run;
            fewer than 1 sample; or the place cannot be written.
        DataError: a picture of a record is missing.
    """
    check_samples(samples)
    runs = _without(runs, without)
    try:
        check_comparable({run.name: run.results for run in runs})
    except ConfigError as error:
        raise ConfigError(f"{error} (`mcltoolkit report ... --without METRIC`)") from error
    report = Report(f"Comparison of {len(runs)} runs")
    report.add_lead(f"{', '.join(run.name for run in runs)}: each as it was tested.")
    by_run, common = _in_common(runs)
    text = f"{BEST_TEXT} {PROTOCOL_TEXT}" if common else OTHER_DATA
    report.add_html("Metrics", _metrics_table(runs, bool(common)), text)
    _add_samples(report, runs, by_run, common[:samples])
    panels = comparison_panels({run.name: run.record.curves for run in runs})
    if panels:
        report.add_panels(
            "Curves",
            panels,
            "Losses as they enter each run's own objective, weighted: runs with different weights "
            "have different losses. Lines are running means.",
        )
    report.add_html("Config", *_config_table(runs))
    report.add_facts("Runs", {run.name: str(run.folder) for run in runs})
    return report.write(path)


def _without(runs: Sequence[TestedRun], names: Sequence[str]) -> list[TestedRun]:
    known = dict.fromkeys(name for run in runs for name in run.results)
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--without {name}: no run has this metric{near_matches(name, known)}; they have "
                f"{', '.join(known) or 'none'}"
            )
    return [
        replace(run, results={n: r for n, r in run.results.items() if n not in names})
        for run in runs
    ]


def best_runs(name: str, values: Mapping[str, float]) -> set[str]:
    """The runs with the best finite value of a metric; none where all are equal, where it has no
    better end, or of a baseline, which is no merit of a run."""
    short = name.rsplit("/", 1)[-1].partition("@")[0]
    finite = {run: value for run, value in values.items() if math.isfinite(value)}
    if len(finite) < 2 or len(set(finite.values())) == 1:
        return set()
    better = METRICS[short].better if short in METRICS else ""
    if not better:
        return set()
    best = max(finite.values()) if better == "higher" else min(finite.values())
    return {run for run, value in finite.items() if value == best}


def config_differences(runs: Sequence[TestedRun]) -> dict[str, list[Any]]:
    """Values of each setting in which the runs' configs differ, one a run."""
    first, *others = [
        {k: v for k, v in run.record.config.items() if k not in INTERNAL} for run in runs
    ]
    found: dict[str, list[Any]] = {}
    for number, other in enumerate(others, 1):
        for key, ours, theirs in differences(first, other):
            row = found.setdefault(key, [ours] * len(runs))
            row[number] = theirs
    return found


def _metrics_table(runs: Sequence[TestedRun], compared: bool) -> str:
    names = sorted(dict.fromkeys(name for run in runs for name in run.results), key=_rank)
    rows = []
    for name in names:
        known = meaning(name)
        values = {r.name: r.results[name].value for r in runs if name in r.results}
        best = best_runs(name, values) if compared else set()
        cells = "".join(
            f'<td class="value{" best" if run.name in best else ""}" '
            f'title="{escape(repr(values.get(run.name)))}">'
            f"{escape(write_number(values.get(run.name), known.unit))}</td>"
            for run in runs
        )
        rows.append(f'<tr><th scope="row" title="{escape(name)}">{escape(known.title)}</th>{cells}')
    return _table(["", *(run.name for run in runs)], [f"{row}</tr>" for row in rows])


def _rank(name: str) -> int:
    """Metrics in the glossary's order, each with its baselines; unknown ones last."""
    short = name.rsplit("/", 1)[-1]
    places = [i for i, known in enumerate(METRICS) if short.startswith(known)]
    return max(places, key=lambda i: len(list(METRICS)[i]), default=len(METRICS))


def _config_table(runs: Sequence[TestedRun]) -> tuple[str, str]:
    found = config_differences(runs)
    if not found:
        return "", "The configs are the same but for their places."
    rows = [
        f'<tr><th scope="row">{escape(key)}</th>'
        + "".join(f'<td class="set">{escape(_setting(value))}</td>' for value in values)
        + "</tr>"
        for key, values in found.items()
    ]
    return _table(["", *(run.name for run in runs)], rows), "Settings in which the runs differ."


def _setting(value: Any) -> str:
    return value if value == ABSENT else json.dumps(value, ensure_ascii=False)


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    return (
        f'<div class="wide" tabindex="0"><table class="plain"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _in_common(
    runs: Sequence[TestedRun],
) -> tuple[list[dict[SampleKey, RecordedSample]], list[SampleKey]]:
    """Samples of each run by index, name and exemplar, and the keys that all runs have."""
    placed = all(s.index is not None for run in runs for s in run.record.samples)
    by_run = [
        {(s.index if placed else None, s.name, s.exemplar): s for s in run.record.samples}
        for run in runs
    ]
    return by_run, [key for key in by_run[0] if all(key in found for found in by_run[1:])]


def _add_samples(
    report: Report,
    runs: Sequence[TestedRun],
    by_run: Sequence[Mapping[SampleKey, RecordedSample]],
    common: Sequence[SampleKey],
) -> None:
    if not common:
        report.add_text(
            "The records of these runs have no sample in common: their test sets, or the "
            "exemplars chosen in them, are different.",
            title="The same samples",
        )
        return
    rows, captions, headings = [], [], []
    for key in common:
        samples = [found[key] for found in by_run]
        first = samples[0]
        shared = [kind for kind in ("condition", "exemplar", "truth") if kind in first.pictures]
        row = [_picture(first, kind) for kind in shared]
        titles = [("own image" if k == "truth" and not first.paired else k) for k in shared]
        for kind in ("output", "warped"):
            row += [_picture(sample, kind) for sample in samples]
            titles += [
                f"{kind}: {run.name}{_told(sample, kind)}"
                for run, sample in zip(runs, samples, strict=True)
            ]
        rows.append(row)
        captions.append(titles)
        headings.append(
            f"{first.name}, exemplar {first.exemplar}" if first.exemplar else first.name
        )
    report.add_rows("The same samples", rows, captions, headings, layout="images fit")


def _told(sample: RecordedSample, kind: str) -> str:
    name = {"output": "psnr", "warped": "label_accuracy"}[kind]
    if name not in sample.values:
        return ""
    title = {"psnr": "PSNR", "label_accuracy": "label transfer"}[name]
    return f", {title} {write_number(sample.values[name], meaning(name).unit)}"


def _picture(sample: RecordedSample, kind: str) -> Picture | None:
    path = sample.pictures.get(kind)
    if path is None:
        return None
    try:
        with PillowImage.open(path) as image:
            return shrink(np.array(image.convert("RGB")), LARGEST_SIDE)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"cannot read the picture {path} of a record: {described(error)}; test the checkpoint "
            f"again with tools/test.py"
        ) from error


def _short_names(folders: Sequence[Path]) -> list[str]:
    """The shortest endings of the paths that tell them apart; `test` itself tells nothing."""
    parts = [f.parts[:-1] if f.name == "test" and len(f.parts) > 2 else f.parts for f in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]
