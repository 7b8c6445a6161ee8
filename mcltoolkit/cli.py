"""The `mcltoolkit` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mcltoolkit import __version__
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.hookspecs import CONTRACT_VERSION, ENTRY_POINT_GROUP
from mcltoolkit.plugins import plugin_reports


def show_plugins() -> int:
    """Print every plugin with what it registers; the number of plugins that failed."""
    reports = plugin_reports()
    print(f"contract version {CONTRACT_VERSION}, entry-point group {ENTRY_POINT_GROUP!r}")
    for report in reports:
        print(f"\n{report.name}  ({report.source})")
        if not report.loaded:
            where = f" [{report.file}]" if report.file else ""
            print(f"  NOT LOADED: {report.problem}{where}\n  {report.remedy}")
        for kind, names in report.components.items():
            print(f"  {kind:27s} {', '.join(names)}")
    return sum(not report.loaded for report in reports)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(prog="mcltoolkit", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("plugins", help="list plugins and what each registers")
    parsed = parser.parse_args(arguments)
    if parsed.command == "plugins":
        run_tool(lambda: sys.exit(1 if show_plugins() else 0))


if __name__ == "__main__":
    main()
