"""Translate with a checkpoint alone: python tools/translate.py CHECKPOINT --condition C.png
--exemplar E.png [--exemplar-condition EC.png] --out O.png [options]. The same as `mcltoolkit
translate`, but that it replaces pictures that exist."""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mcltoolkit.engine.launch import run_tool
from mcltoolkit.inference.command import add_arguments, run_command


def main() -> None:
    """Load the model, translate, write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    run_command(argparse.Namespace(**vars(parser.parse_args()), overwrite=True))


if __name__ == "__main__":
    run_tool(main)
