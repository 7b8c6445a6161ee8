"""`mcltoolkit report`: several tests on one page."""

from __future__ import annotations

import argparse
from typing import Any


def compare(options: argparse.Namespace) -> None:
    """Write the comparison of the named tests, and say where it is."""
    from mcltoolkit.visualization.comparison import comparison_report, read_tests
    from mcltoolkit.visualization.extremes import check_samples

    check_samples(options.samples)
    runs = read_tests(options.tests)
    path = comparison_report(runs, options.out, options.samples, options.without)
    print(f"wrote {path}: open it in a browser")


def add_command(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser("report", help="show several tests side by side on one page")
    parser.add_argument(
        "tests", nargs="+", metavar="DIR", help="what tools/test.py wrote, or a work folder with it"
    )
    parser.add_argument("--out", default="compare.html", help="file to write (%(default)s)")
    parser.add_argument(
        "--samples", type=int, default=8, help="samples shown at most (%(default)s)"
    )
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        metavar="METRIC",
        help="metrics to leave out, such as one that the tests measured in different ways",
    )
    parser.set_defaults(run=compare)
