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
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.files import whole_file

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def main() -> None:
    """Examine, show, write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    doctor.add_options(parser)
    options = parser.parse_args()
    doctor.check_options(options)
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
    texts = {options.json: json.dumps(diagnosis.to_dict(), indent=1)}
    if options.palette_out:
        texts[options.palette_out] = starting_palette(doctor.common_colours(survey))
    if options.config_out and not diagnosis.errors:
        texts[options.config_out] = doctor.ready_config(survey, preset, options.config_out, CONFIGS)
    elif options.config_out:
        console.print(f"{options.config_out} is not written: errors come first", soft_wrap=True)
    for path, text in texts.items():
        if path:
            with whole_file(path) as part:
                part.write_text(text, encoding="utf-8")
            console.print(f"wrote {path}", soft_wrap=True)
    sys.exit(1 if diagnosis.errors else 0)


if __name__ == "__main__":
    run_tool(main)
