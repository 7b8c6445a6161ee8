"""Train a model: python tools/train.py CONFIG [options]."""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mmengine.dist import is_main_process

from mcltoolkit.engine.config import load_config, options_of, parse
from mcltoolkit.engine.launch import next_step, run_tool, train


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits each time (randomness.deterministic); slower",
    )
    parser.add_argument(
        "--detect-anomaly",
        action="store_true",
        help="trace NaN gradients to their operation (detect_anomaly); several times slower",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="auto|CHECKPOINT",
        help="go on from the newest whole checkpoint of the work directory (auto: if there is "
        "one), or from the given one",
    )


def main() -> None:
    """Parse the command line and train."""
    options = parse(__doc__ or "", None, _options)
    config = load_config(options.config, **options_of(options))
    runner = train(
        config,
        resume=options.resume,
        amp=options.amp,
        deterministic=options.deterministic,
        detect_anomaly=options.detect_anomaly,
    )
    if is_main_process():
        print(next_step(runner, options.config, options.work_dir))


if __name__ == "__main__":
    run_tool(main)
