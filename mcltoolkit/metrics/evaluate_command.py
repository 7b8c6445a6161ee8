"""The job of `tools/evaluate.py`: metrics of image files, or a comparison of results."""

from __future__ import annotations

import argparse
import re

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mcltoolkit.errors import ConfigError
from mcltoolkit.files import check_place
from mcltoolkit.metrics.choice import OF_FILES, add_options, defaults, settings_of
from mcltoolkit.metrics.folders import (
    Folders,
    check_device,
    default_device,
    evaluate_folders,
    steps,
)
from mcltoolkit.metrics.results import read_results, write_results
from mcltoolkit.metrics.tables import comparison_table, results_table
from mcltoolkit.plugins import load_plugins


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("outputs", nargs="?", help="folder of output images")
    parser.add_argument("reference", nargs="?", help="folder of real images, or of the truths")
    parser.add_argument("--exemplars", help="folder of exemplars, by the outputs' names")
    parser.add_argument("--labels", help="folder of label maps, by the outputs' names")
    add_options(parser, OF_FILES)
    parser.add_argument(
        "--vgg-weights", metavar="PATH|torchvision|random", help="VGG-19 for style and semantic"
    )
    parser.add_argument("--resize", metavar="HEIGHTxWIDTH", help="resize all images first")
    parser.add_argument("--device", default=None, help="default: cuda where there is one")
    parser.add_argument("--out", help="file to write, such as metrics.json")
    parser.add_argument(
        "--compare", nargs="+", metavar="FILE", help="print results side by side, measure nothing"
    )


def run(options: argparse.Namespace, console: Console | None = None) -> None:
    """Measure or compare, and print.

    Raises:
        ToolkitError: what the user can put right.
    """
    console = console or Console()
    if options.compare:
        if options.outputs:
            raise ConfigError(f"--compare measures nothing: leave out the folder {options.outputs}")
        console.print(comparison_table({path: read_results(path) for path in options.compare}))
        return
    if not options.outputs or not options.reference:
        raise ConfigError(
            "two folders are needed, OUTPUTS and REFERENCE; or files to compare, with --compare"
        )
    if options.out:
        check_place(options.out)
    device = check_device(options.device or default_device())
    load_plugins()
    names = list(dict.fromkeys(options.metrics or defaults(options)))
    settings = settings_of(names, options, OF_FILES)
    folders = Folders.open(
        options.outputs,
        options.reference,
        options.exemplars,
        options.labels,
        resize=parse_size(options.resize) if options.resize else None,
        device=device,
    )
    if folders.warning:
        console.print(f"warning: {folders.warning}", style="yellow")
    bar = Progress(
        TextColumn("measuring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("measuring", total=steps(folders, names))
        results = evaluate_folders(folders, names, settings, lambda: bar.advance(task))
    console.print(results_table(results))
    if options.out:
        write_results(options.out, results)


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of `256x512`, or of `256` for a square.

    Raises:
        ConfigError: it is no size.
    """
    found = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text.strip().lower())
    if not found:
        raise ConfigError(f"--resize {text}: allowed are HEIGHTxWIDTH in pixels, such as 256x256")
    height = int(found[1])
    return height, int(found[2] or height)
