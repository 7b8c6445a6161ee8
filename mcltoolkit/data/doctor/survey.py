"""All files of a data set, looked at once, in several processes and with a progress bar."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mcltoolkit.data.doctor.facts import ImageFacts, LabelFacts, image_facts, label_facts
from mcltoolkit.data.doctor.plan import Plan, SplitPlan, raster_files
from mcltoolkit.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class SplitSurvey:
    """A split's files by name: the path below the folder, without suffix."""

    plan: SplitPlan
    image_paths: dict[str, Path]
    label_paths: dict[str, Path]
    clashes: list[tuple[Path, Path]] = field(default_factory=list)
    images: dict[str, ImageFacts] = field(default_factory=dict)
    labels: dict[str, LabelFacts] = field(default_factory=dict)

    @cached_property
    def vectors(self) -> tuple[list[str], np.ndarray]:
        """Names and vectors (N, D) of the images that have one."""
        found = {n: facts.vector for n, facts in self.images.items() if facts.vector is not None}
        none = np.zeros((0, 1), dtype=np.float32)
        return list(found), np.stack(list(found.values())) if found else none


@dataclass
class Survey:
    """The plan and what lies in each split."""

    plan: Plan
    splits: dict[str, SplitSurvey]

    def all_labels(self) -> Iterator[tuple[Path, LabelFacts]]:
        """Every label file that could be read."""
        for split in self.splits.values():
            for name, facts in split.labels.items():
                if facts.problem is None:
                    yield split.label_paths[name], facts

    def all_images(self) -> Iterator[tuple[Path, ImageFacts]]:
        """Every image file that could be read."""
        for split in self.splits.values():
            for name, facts in split.images.items():
                if facts.problem is None:
                    yield split.image_paths[name], facts


def survey(
    plan: Plan,
    *,
    by_colour: bool = False,
    workers: int = 0,
    console: Console | None = None,
    known_images: Mapping[Path, ImageFacts] | None = None,
) -> Survey:
    """Look at every file.

    Args:
        plan: where they are.
        by_colour: tell the colours of one-channel label maps too.
        workers: processes; 0 works in this one.
        console: where to show the progress bar; None shows none.
        known_images: facts of images that need no second look.
    """
    splits = {split.name: _list(plan, split) for split in plan.splits}
    known = dict(known_images or {})
    paths = [p for s in splits.values() for p in s.image_paths.values() if p not in known]
    known.update(zip(paths, spread(image_facts, paths, "images", workers, console), strict=True))
    label_paths = [p for s in splits.values() for p in s.label_paths.values()]
    look = partial(label_facts, by_colour=by_colour)
    labels = dict(
        zip(label_paths, spread(look, label_paths, "label maps", workers, console), strict=True)
    )
    for split in splits.values():
        split.images = {name: known[path] for name, path in split.image_paths.items()}
        split.labels = {name: labels[path] for name, path in split.label_paths.items()}
    return Survey(plan, splits)


def spread(
    function: Callable[[Item], Result],
    items: list[Item],
    title: str,
    workers: int,
    console: Console | None,
) -> Iterable[Result]:
    """Results of a function for each item, in order, by several processes under a bar.

    Raises:
        DataError: a process was killed.
    """
    bar = Progress(
        TextColumn("{task.description:12s}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=console is None,
    )
    if workers <= 1 or len(items) < 2:
        with bar:
            return list(bar.track(map(function, items), total=len(items), description=title))
    # Forked workers need no second import of everything; the bar's thread starts after the fork.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    size = max(1, min(32, len(items) // (4 * workers)))
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            results = pool.map(function, items, chunksize=size)
            with bar:
                return list(bar.track(results, total=len(items), description=title))
    except BrokenProcessPool as error:
        raise DataError(
            f"a process that read {title} was killed ({error}), most likely for want of memory; "
            f"look for very large pictures, or use --workers 0"
        ) from error


def _list(plan: Plan, split: SplitPlan) -> SplitSurvey:
    folder, label_folder = plan.image_folder(split.name), plan.label_folder(split.name)
    found = SplitSurvey(split, {}, {})
    for path in raster_files(folder, plan.image_suffixes):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found.image_paths:
            found.clashes.append((found.image_paths[name], path))
        else:
            found.image_paths[name] = path
    same = label_folder == folder
    for path in raster_files(label_folder):
        if same and path.suffix.lower() in plan.image_suffixes:
            continue
        assert label_folder is not None
        name = path.relative_to(label_folder).as_posix()
        found.label_paths[name.removesuffix(plan.label_suffix)] = path
    return found
