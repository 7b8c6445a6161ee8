"""Export a checkpoint: python tools/export.py CHECKPOINT --out FOLDER [options].

ONNX and torch.export files, verified as they are written, a model card and io.json.
"""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mcltoolkit.engine.launch import run_tool
from mcltoolkit.export.command import add_options, run


def main() -> None:
    """Parse and export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    run(parser.parse_args())


if __name__ == "__main__":
    run_tool(main)
