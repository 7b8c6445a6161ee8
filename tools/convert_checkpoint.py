"""Checkpoints of the released CoCosNet into this toolkit's form, and back.

python tools/convert_checkpoint.py --task ade20k --generator latest_net_G.pth
    --alignment latest_net_Corr.pth [--discriminator latest_net_D.pth] --out ours.pth
python tools/convert_checkpoint.py --to-cocosnet FOLDER ours.pth
"""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mcltoolkit.conversion import RECIPES, convert_files, summary, write_cocosnet
from mcltoolkit.engine.launch import run_tool


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=list(RECIPES), help="the released model's task")
    parser.add_argument("--generator", help="*_net_G.pth, or *_net_G_ema.pth")
    parser.add_argument("--alignment", help="*_net_Corr.pth, or *_net_netCorr_ema.pth")
    parser.add_argument("--discriminator", help="*_net_D.pth; needed only to train on")
    parser.add_argument("--generator-ema", help="*_net_G_ema.pth, beside --generator")
    parser.add_argument("--alignment-ema", help="*_net_netCorr_ema.pth, beside --alignment")
    parser.add_argument("--out", help="checkpoint of this toolkit to write")
    parser.add_argument(
        "--allow-other-architecture",
        action="store_true",
        help="accept networks that differ from the task's released ones in more than their widths",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--to-cocosnet",
        metavar="FOLDER",
        help="the way back: write CHECKPOINT as the released code's files into this folder",
    )
    parser.add_argument(
        "checkpoint", nargs="?", help="checkpoint of this toolkit, for the way back"
    )
    return parser


def main() -> None:
    """Convert in the direction that the options name."""
    parser = _parser()
    options = parser.parse_args()
    forth = ("task", "generator", "alignment", "out")
    back = ("to_cocosnet", "checkpoint", "overwrite")
    if options.to_cocosnet:
        given = [name for name in vars(options) if name not in back]
        if not options.checkpoint or any(vars(options)[name] for name in given):
            parser.error("--to-cocosnet FOLDER takes one checkpoint and, at most, --overwrite")
        files, notes = write_cocosnet(options.checkpoint, options.to_cocosnet, options.overwrite)
        print("\n".join([*map(str, files), *notes]))
        return
    missing = [f"--{name}" for name in forth if not vars(options)[name]]
    if missing or options.checkpoint:
        parser.error(f"needs {', '.join(missing) or 'no positional argument'}; see --help")
    checkpoint = convert_files(
        options.task, options.generator, options.alignment, options.out, options.discriminator,
        options.generator_ema, options.alignment_ema, options.allow_other_architecture,
        options.overwrite,
    )  # fmt: skip
    print(f"{summary(checkpoint)}\nwrote {options.out}")


if __name__ == "__main__":
    run_tool(main)
