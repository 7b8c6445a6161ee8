"""Take the tensors and plain values out of a file that holds pickled objects, running none of them:
python tools/strip_checkpoint.py FILE NEW_FILE."""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.conversion.strip import strip
from mcltoolkit.engine.launch import run_tool


def main() -> None:
    """Strip, and say what was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="checkpoint of unknown origin, of torch.save")
    parser.add_argument("out", help="plain checkpoint to write")
    options = parser.parse_args()
    left_out = strip(options.file, options.out)
    print(f"{options.out} written; {len(left_out)} objects left out")
    for place in left_out:
        print(f"  {place}")


if __name__ == "__main__":
    run_tool(main)
