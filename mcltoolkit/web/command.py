"""`mcltoolkit demo CHECKPOINT`: its options; what it does is imported when it runs."""

from __future__ import annotations

import argparse

from mcltoolkit.commands import Commands


def add_command(commands: Commands) -> None:
    """Add `demo`."""
    parser = commands.add_parser(
        "demo", help="serve a page to draw label maps, translate and look into the match"
    )
    parser.add_argument("checkpoint", help="trained, or from tools/convert_checkpoint.py")
    parser.add_argument(
        "--examples", metavar="FOLDER", help="conditions to start from: label maps, or .npy files"
    )
    parser.add_argument(
        "--exemplars",
        metavar="FOLDER",
        help="photos to choose from, with their label maps, if any, as FOLDER/labels/NAME.png, or, "
        "of a data set's images/SPLIT, in annotations/SPLIT",
    )
    parser.add_argument(
        "--exemplar-labels", metavar="FOLDER", help="their label maps, NAME.png, elsewhere"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; default 127.0.0.1, this machine only",
    )
    parser.add_argument("--port", type=int, default=7860, help="default 7860; 0: a free one")
    opening = parser.add_mutually_exclusive_group()
    opening.add_argument("--open", action="store_true", help="open the page in a browser")
    opening.add_argument(
        "--no-browser", dest="open", action="store_false", help="do not, the default"
    )
    parser.add_argument("--device", help="such as cpu or cuda:0; default a GPU if there is one")
    parser.add_argument(
        "--plugins", nargs="+", default=[], metavar="MODULE", help="modules to import first"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """See `mcltoolkit.web.demo.run`."""
    from mcltoolkit.web import demo

    demo.run(options)
