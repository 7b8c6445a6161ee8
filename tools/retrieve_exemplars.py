"""Make an exemplar list: python tools/retrieve_exemplars.py --data-root ROOT [options].

Writes OUT.txt (condition.jpg,exemplar1.jpg,...), OUT.scores.csv, which also says how the list was
made, and OUT.html with pictures.
"""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mcltoolkit.data.retrieval import list_text, scores_text
from mcltoolkit.data.retrieval.options import add_options, output_path, retrieval_of
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.files import write_atomically
from mcltoolkit.visualization.exemplar_page import exemplar_page, exemplar_sheet


def main() -> None:
    """Parse the command line, retrieve, and write; the list last, when the rest is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    options = parser.parse_args()
    out = output_path(options)
    result = retrieval_of(options)
    lines = list_text(result)
    written = [write_atomically(out.with_suffix(".scores.csv"), scores_text(result).encode())]
    written.append(exemplar_page(result, out.with_suffix(".html"), options.samples))
    if options.sheet:
        written.append(exemplar_sheet(result, out.with_suffix(".png"), options.samples))
    written.append(write_atomically(out, lines.encode()))
    counts = result.ranking.counts
    print(f"{len(counts)} conditions, {counts.mean():.2f} exemplars each, at least {counts.min()}")
    if not counts.all():
        print(f"{(counts == 0).sum()} conditions have none and no line: set listed_only=True")
    for path in written:
        print(f"wrote {path}")


if __name__ == "__main__":
    run_tool(main)
