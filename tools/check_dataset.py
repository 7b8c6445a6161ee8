"""Examine a data set: python tools/check_dataset.py ROOT [options].

Ends with 0 when there is no error (warnings and notes may remain), 1 when the data has errors, 2
when the command itself cannot be carried out.
"""

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())

from rich.console import Console

from mcltoolkit.data import doctor
from mcltoolkit.data.label_colours import read_label_colours, starting_palette
from mcltoolkit.data.near_duplicates import THRESHOLD
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.errors import ConfigError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
MOST_COLOURS = 200  # in a palette to start with


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("root", nargs="?", help="folder of the data set; with --config: in place of its data_root")
    add("--config", help="examine the data set of this config (FolderDataset, ADE20K)")
    add("--config-out", type=Path, help="write a config that trains on the data set")
    add("--preset", choices=list(doctor.PRESETS), default="small", help="of the config written")
    add("--size", help="training size: short side or HEIGHTxWIDTH (64 small, 256 full)")
    add("--num-classes", type=int, help="default: lines of classes.txt, or as the labels have")
    add("--ignore-label", type=int, help="value that means unknown, such as 255")
    add("--exemplar-list", default="exemplars_{split}.txt", help="default %(default)s")
    add("--palette", type=Path, help="palette file: which colour is which class")
    add("--palette-out", type=Path, help="write the colours found, as a palette to complete")
    add("--convert-labels", type=Path, metavar="FOLDER", help="write label maps by --palette")
    add("--threshold", type=float, default=THRESHOLD, help="of near-duplicates (%(default)s)")
    add("--accept", nargs="+", default=[], metavar="CODE", help="findings to leave out")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    add("--json", type=Path, help="write everything found, all files named")
    return parser.parse_args()


def main() -> None:
    """Examine, show, write what was asked for."""
    options = parse()
    if options.convert_labels and not options.palette:
        raise ConfigError("--convert-labels needs --palette: colours are never guessed")
    if not options.root and not options.config:
        raise ConfigError("nothing to examine: give ROOT, the folder of the data set, or --config")
    if options.config:
        plan = doctor.plan_of_config(load_config(options.config, data_root=options.root))
    else:
        plan = doctor.plan_of_folder(
            options.root,
            num_classes=options.num_classes,
            ignore_label=options.ignore_label,
            exemplar_list=options.exemplar_list,
        )
    preset, console = doctor.PRESETS[options.preset], Console()
    diagnosis, survey = doctor.examine(
        plan,
        palette=read_label_colours(options.palette) if options.palette else None,
        convert_to=options.convert_labels,
        size=doctor.parse_size(options.size or str(preset.short_side)),
        multiple=preset.multiple,
        threshold=options.threshold,
        accept=options.accept,
        workers=options.workers,
        console=console,
    )
    doctor.show(diagnosis, console)
    colours = doctor.common_colours(survey)
    texts = {options.json: json.dumps(diagnosis.to_dict(), indent=1)}
    if options.palette_out and colours:
        left_out = max(0, len(colours) - MOST_COLOURS)
        texts[options.palette_out] = starting_palette(colours[:MOST_COLOURS], left_out)
    if options.config_out and not diagnosis.errors:
        texts[options.config_out] = doctor.ready_config(survey, preset, options.config_out, CONFIGS)
    elif options.config_out:
        console.print(f"{options.config_out} is not written: the errors come first")
    for path, text in texts.items():
        if path:
            with doctor.whole_file(path) as part:
                part.write_text(text)
            console.print(f"wrote {path}", soft_wrap=True)
    sys.exit(1 if diagnosis.errors else 0)


if __name__ == "__main__":
    run_tool(main)
