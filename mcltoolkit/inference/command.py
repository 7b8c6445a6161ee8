"""`mcltoolkit translate`: pictures from files and folders.

A condition that cannot be translated does not stop a folder: the others are, and it is named at the
end, with status 2, or where something else ends the work before. What all conditions share
(checkpoint, exemplar, places to write) is checked before the first is translated. Each picture is
written whole or not at all, and what was finished stays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcltoolkit.commands import Commands
from mcltoolkit.errors import ConfigError, DataError, ToolkitError

if TYPE_CHECKING:
    from mcltoolkit.inference.plan import Job
    from mcltoolkit.inference.result import TranslationResult

STEADINESS = 0.8
_SHOWN = 5


def add_command(commands: Commands) -> None:
    """Add `translate`."""
    parser = commands.add_parser("translate", help="paint conditions in the style of exemplars")
    add_arguments(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace pictures that exist; else an error"
    )
    parser.set_defaults(run=run_command)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options, but for --overwrite."""
    add = parser.add_argument
    add("checkpoint", help="trained, or from tools/convert_checkpoint.py")
    add(
        "--condition",
        required=True,
        metavar="FILE|FOLDER",
        help="label PNG, or .npy of channels x height x width; or a folder of such",
    )
    add(
        "--exemplar",
        nargs="+",
        metavar="FILE|FOLDER",
        help="picture whose style is asked for; several are blended; a folder: for each condition "
        "the picture of its name",
    )
    add(
        "--exemplar-list",
        metavar="FILE",
        help="lines condition.jpg,exemplar.jpg,...; names relative to the --exemplar folder, or to "
        "the list's own",
    )
    add(
        "--exemplar-condition",
        nargs="+",
        metavar="FILE|FOLDER",
        help="condition of each exemplar, where the model reads it; or a folder, by name",
    )
    add("--out", required=True, metavar="FILE|FOLDER", help="PNG to write, or a folder for several")
    add("--warped", metavar="FILE|FOLDER", help="where the exemplar warped to the condition goes")
    add(
        "--size",
        nargs="+",
        metavar="HEIGHT WIDTH|own",
        help="size to translate at; default the condition's own, or the model's test size where "
        "that is smaller",
    )
    add(
        "--restore-size",
        action="store_true",
        help="resize the pictures to the condition's own size, where they were made at another",
    )
    add("--weights", nargs="+", type=float, metavar="W", help="of the exemplars that are blended")
    add(
        "--region",
        action="append",
        metavar="LABEL=FILE",
        help="another exemplar for the pixels of a class, by name or number; may be repeated",
    )
    add(
        "--region-condition",
        action="append",
        metavar="LABEL=FILE",
        help="condition of that exemplar, where the model reads it",
    )
    add(
        "--interpolate",
        type=int,
        metavar="N",
        help="N pictures from the first of two exemplars to the second",
    )
    add("--video", action="store_true", help="the condition folder holds the frames of a video")
    add(
        "--steadiness",
        type=float,
        metavar="S",
        help=f"of the match of a video, 0 (each frame alone) to 1; default {STEADINESS}",
    )
    add("--animation", metavar="FILE", help="GIF or WebP of all pictures, too")
    add("--fps", type=float, default=12, help="of the animation; default 12")
    add("--batch-size", type=int, default=1, help="pictures at a time; more is faster on a GPU")
    add("--device", help="such as cpu or cuda:0; default a GPU if there is one")
    add("--plugins", nargs="+", default=[], help="modules that register components")


def run_command(options: argparse.Namespace) -> None:
    """Translate what the options name, and say what was written.

    Raises:
        ConfigError: options that do not fit, or a place that is taken.
        DataError: files that cannot be used; those of single conditions in one message at the end.
    """
    from mcltoolkit.inference.animation import check_animation
    from mcltoolkit.inference.api import check_batch_size
    from mcltoolkit.inference.checkpoint import load_model
    from mcltoolkit.inference.exemplars import read_pair
    from mcltoolkit.inference.pipeline import Request, run
    from mcltoolkit.inference.plan import check_options, make_plan
    from mcltoolkit.inference.requests import check_regions
    from mcltoolkit.inference.steady import Steadier

    size = parse_size(options.size)
    check_batch_size(options.batch_size)
    check_options(options)
    steadier = Steadier(_steadiness(options)) if options.video else None
    if options.animation:
        check_animation(options.animation, options.fps)
    if Path(options.condition).is_dir():  # which files of it are conditions, the model says
        model = load_model(options.checkpoint, options.device, options.plugins)
        plan = make_plan(options, model.condition_kind)
    else:
        plan = make_plan(options, "labels")
        model = load_model(options.checkpoint, options.device, options.plugins)
    regions = check_regions(plan.regions, model)
    for exemplar in plan.shared:
        read_pair(exemplar, model)
    failures: list[str] = []

    def failed(request: Request, error: ToolkitError) -> None:
        named = request.name in str(error)
        failures.append(str(error) if named else f"{request.name}: {error}")

    results = run(
        (replace(job.request, regions=regions) for job in plan.jobs),
        model,
        size=size,
        batch_size=options.batch_size,
        say=print,
        steadier=steadier,
        failed=None if plan.single or options.video else failed,
    )
    try:
        _write(results, plan.jobs, options)
    except BaseException:
        if failures:  # what ends the work must not hide them
            print(_told(failures, len(plan.jobs)), file=sys.stderr)
        raise
    if failures:
        again = "run again" if options.overwrite else "run again with --overwrite"
        raise DataError(
            f"{_told(failures, len(plan.jobs))}\nthe others are written; correct the files and "
            f"{again}"
        )


def _write(
    results: Iterable[TranslationResult], planned: Sequence[Job], options: argparse.Namespace
) -> None:
    """Write the pictures and the animation, and say which."""
    from mcltoolkit.inference.animation import check_sizes, save_animation
    from mcltoolkit.visualization.images import save_png

    jobs = {job.request.name: job for job in planned}
    shown: list[np.ndarray] = []
    count = 0
    with _bar(len(jobs)) as advance:
        for result in results:
            job = jobs[result.name]
            picture, warped = result.array, None if job.warped is None else result.warped_array
            if options.restore_size:
                picture = result.at_condition_size(picture)
                warped = None if warped is None else result.at_condition_size(warped)
            save_png(picture, job.out)
            if warped is not None and job.warped is not None:
                save_png(warped, job.warped)
            count += 1
            if options.animation:
                check_sizes([*shown[:1], picture], options.animation)
                shown.append(picture)
            if len(jobs) == 1:
                for path in filter(None, (job.out, job.warped)):
                    print(f"{path}: {picture.shape[0]}x{picture.shape[1]}")
            advance()
    if len(jobs) > 1:
        print(f"{options.out}: {count} of {len(jobs)} pictures")
    if options.animation and shown:
        print(f"{save_animation(shown, options.animation, options.fps)}: {len(shown)} pictures")


def _told(failures: Sequence[str], count: int) -> str:
    more = f"\n  ... {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
    listed = "\n  ".join(failures[:_SHOWN])
    return f"{len(failures)} of {count} pictures could not be made:\n  {listed}{more}"


def parse_size(given: list[str] | None) -> tuple[int, int] | str | None:
    """`--size HEIGHT WIDTH` or `--size own`.

    Raises:
        ConfigError: something else.
    """
    from mcltoolkit.inference.sizes import check_size

    if given is None or given == ["own"]:
        return check_size("own" if given else None)
    try:
        return check_size([int(number) for number in given])
    except ValueError:
        raise ConfigError(
            f"--size is {' '.join(given)}; allowed are HEIGHT WIDTH, whole numbers >= 1, or own"
        ) from None


def _steadiness(options: argparse.Namespace) -> float:
    return STEADINESS if options.steadiness is None else float(options.steadiness)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], object]]:
    """A progress bar on the terminal, for more than one picture; gives the function to advance.

    What is printed meanwhile goes above the bar on a terminal, and else where it went before.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    bar = Progress(
        TextColumn("translating"),
        *columns,
        console=Console(file=sys.stderr),
        redirect_stdout=sys.stdout.isatty(),
        disable=total < 2,
    )
    with bar:
        task = bar.add_task("translating", total=total)
        yield lambda: bar.advance(task)
