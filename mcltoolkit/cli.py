"""The `mcltoolkit` command."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from typing import cast

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mmengine.config import DictAction

from mcltoolkit import __version__
from mcltoolkit.commands import Commands, add_plugin_commands
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import explain
from mcltoolkit.engine.explain_tables import print_differences, print_explanation
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.engine.provenance import differences
from mcltoolkit.engine.replay import replay
from mcltoolkit.export import command as export_command
from mcltoolkit.hookspecs import CONTRACT_VERSION, ENTRY_POINT_GROUP
from mcltoolkit.inference import command as translate_command
from mcltoolkit.plugin_template import KINDS, new_plugin
from mcltoolkit.plugins import BUILTIN, plugin_reports
from mcltoolkit.visualization import command as report_command
from mcltoolkit.web import command as demo_command

REGISTERING = "register_components"


def show_plugins(options: argparse.Namespace) -> int:
    """Print every plugin with what it registers; 1 if one of them, or a part of it, failed."""
    reports = plugin_reports()
    print(f"contract version {CONTRACT_VERSION}, entry-point group {ENTRY_POINT_GROUP!r}")
    for report in reports:
        print(f"\n{report.name}  ({report.source})")
        if not report.loaded:
            where = f" [{report.file}]" if report.file else ""
            print(f"  NOT LOADED: {report.problem}{where}\n  {report.remedy}")
        for kind, names in report.components.items():
            print(f"  {kind:27s} {', '.join(names)}")
        others = [hook for hook in report.hooks if hook != REGISTERING]
        if report.loaded and others:
            print(f"  {'functions':27s} {', '.join(others)}")
        for failure in report.failures:
            print(f"  FAILED: {failure}")
    return int(any(not report.loaded or report.failures for report in reports))


def show_explanation(options: argparse.Namespace) -> None:
    """Print what a config assembles, or in which settings two configs differ."""
    if options.diff is None:
        size = None if options.size is None else tuple(options.size)
        print_explanation(explain(options.config, options.cfg_options, size))
        return
    first, second = (
        {**load_config(path, options.cfg_options)._cfg_dict, "work_dir": None}
        for path in (options.config, options.diff)
    )
    print_differences((options.config, options.diff), differences(first, second))


def create_plugin(options: argparse.Namespace) -> None:
    """Write a new plugin package, and say what to do next."""
    folder = new_plugin(options.name, options.kind, options.out)
    (config,) = (folder / "configs").glob("*.py")
    print(f"wrote {folder}. Next:\n")
    for command in (
        f"pip install -e {shlex.quote(f'{folder}[test]')}",
        f"python -m pytest {shlex.quote(str(folder / 'tests'))}",
        f"python tools/train.py {shlex.quote(str(config))}",
    ):
        print(f"  {command}")


def show_replay(options: argparse.Namespace) -> int:
    """Print a step that was not finite, computed again; 1 if it comes out otherwise."""
    again = replay(options.dump, options.device, options.plugins)
    print(again)
    return int(not again.same)


def add_commands(commands: Commands) -> None:
    """The toolkit's own commands."""
    translate_command.add_command(commands)
    export_command.add_command(commands)
    plugins = commands.add_parser("plugins", help="list plugins and what each registers")
    plugins.set_defaults(run=show_plugins)
    creating = commands.add_parser(
        "new-plugin", help="write a plugin package with one working component"
    )
    creating.add_argument("name", help="of the package, such as sharp-edges")
    creating.add_argument("--kind", required=True, choices=KINDS, help="of the component")
    creating.add_argument("--out", default=".", metavar="DIR", help="where the folder is made")
    creating.set_defaults(run=create_plugin)
    replaying = commands.add_parser(
        "replay", help="compute a training step that was not finite again, from its dump"
    )
    replaying.add_argument("dump", help="file WORK_DIR/nonfinite/iter_N_rankR.pth")
    replaying.add_argument("--device", help="default: the kind of device of the training, or cpu")
    replaying.add_argument(
        "--plugins", nargs="+", default=[], metavar="MODULE", help="modules to import first"
    )
    replaying.set_defaults(run=show_replay)
    explaining = commands.add_parser(
        "explain", help="show the model, losses and training of a config, and who set what"
    )
    explaining.add_argument(
        "config",
        help="config file, such as configs/mclnet_scenes.py or mcltoolkit::mclnet_scenes.py",
    )
    explaining.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE"
    )
    explaining.add_argument(
        "--size", nargs=2, type=int, metavar=("H", "W"), help="of the images; default: the data's"
    )
    explaining.add_argument(
        "--diff", metavar="CONFIG", help="show only in which settings the two configs differ"
    )
    explaining.set_defaults(run=show_explanation)
    report_command.add_command(commands)
    demo_command.add_command(commands)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(prog="mcltoolkit", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = cast(Commands, parser.add_subparsers(dest="command", required=True, action=Commands))
    commands.add(BUILTIN, add_commands)
    run_tool(lambda: add_plugin_commands(commands))
    parsed = parser.parse_args(arguments)
    if not hasattr(parsed, "run"):
        parser.error(f"{parsed.command} needs one of its own commands; see --help")
    status = 0

    def run() -> None:
        nonlocal status
        status = parsed.run(parsed) or 0
        sys.stdout.flush()

    try:
        run_tool(run)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
