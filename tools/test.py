"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT [options]."""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mmengine.dist import is_main_process

from mcltoolkit.engine.config import options_of, parse
from mcltoolkit.engine.launch import run_tool, test
from mcltoolkit.engine.more_metrics import load_with_metrics
from mcltoolkit.metrics import choice
from mcltoolkit.visualization.scalars import find_scalars


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="checkpoint file that a training wrote")
    parser.add_argument("--out", help="folder for metrics.json, grid.png, report.html and record/")
    parser.add_argument(
        "--samples",
        type=int,
        default=8,
        help="samples shown from the beginning of the data set, beside best, median and worst",
    )
    choice.add_options(parser, tuple(choice.TYPES))


def main() -> None:
    """Parse the command line and test."""
    options = parse(__doc__ or "", None, _options)
    config = load_with_metrics(options.config, options_of(options), options)
    metrics = test(
        config,
        options.checkpoint,
        out_dir=options.out,
        samples=options.samples,
        scalars_file=find_scalars(config.work_dir),
    )
    for name, value in sorted(metrics.items()) if is_main_process() else ():
        print(f"{name:24s} {value:.4f}")


if __name__ == "__main__":
    run_tool(main)
