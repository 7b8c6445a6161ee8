"""Measure image files: python tools/evaluate.py OUTPUTS REFERENCE [options], or compare what was
measured: python tools/evaluate.py --compare A.json B.json ..."""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mcltoolkit.engine.launch import run_tool
from mcltoolkit.metrics.evaluate_command import add_arguments, run


def main() -> None:
    """Parse the command line and measure or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    run(parser.parse_args())


if __name__ == "__main__":
    run_tool(main)
