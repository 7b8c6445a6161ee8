"""Run an ablation matrix and write its table: python tools/ablate.py MATRIX.yaml [options]."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mmengine.config import DictAction

from mcltoolkit.ablation import chosen, command, plan, read_matrix, state, write_tables
from mcltoolkit.ablation.commands import LAUNCHERS
from mcltoolkit.ablation.drive import drive
from mcltoolkit.engine.launch import run_tool

TOOLS = Path(os.path.relpath(Path(__file__).resolve().parent))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("matrix", help="YAML file, such as configs/ablations/scenes.yaml")
    parser.add_argument("--work-dir", help="default work_dirs/ablation_MATRIX")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="only these rows")
    parser.add_argument("--groups", nargs="+", metavar="GROUP", help="only these groups")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="only these seeds")
    parser.add_argument("--data-root", help="folder of the data set, for every run")
    parser.add_argument("--vgg-weights", metavar="PATH|torchvision|random", help="for every run")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE",
        help="settings for every run, on top of the matrix's `options`",
    )  # fmt: skip
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="list the runs and where they stand")
    what.add_argument("--print", choices=LAUNCHERS, help="print the commands instead of running")
    what.add_argument("--table", action="store_true", help="write the table of what is finished")
    parser.add_argument("--gpus", type=int, default=4, help="for --print (4)")
    parser.add_argument("--partition", default="PARTITION", help="for --print slurm")
    return parser


def main() -> None:
    """Parse the command line and do what it asks for."""
    options = _parser().parse_args()
    matrix = read_matrix(options.matrix)
    work_dir = options.work_dir or f"work_dirs/ablation_{matrix.path.stem}"
    runs = plan(
        matrix,
        work_dir,
        options.cfg_options,
        data_root=options.data_root,
        vgg_weights=options.vgg_weights,
    )
    picked = chosen(runs, options.only, options.groups, options.seeds)
    if options.print:
        for run in picked:
            how = {"gpus": options.gpus, "partition": options.partition}
            print(f"# {run.title}\n{command(run, options.print, TOOLS, **how)}\n")
    elif options.dry_run:
        for run in picked:
            found = state(run)
            print(f"{found.kind:9s} {run.title}" + (f": {found.why}" if found.why else ""))
    elif options.table:
        print(f"table: {write_tables(matrix, runs, work_dir)}")
    else:
        sys.exit(drive(matrix, runs, picked, work_dir, options.jobs))


if __name__ == "__main__":
    run_tool(main)
