"""The doctor's command line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mcltoolkit.data.doctor.ready_config import PRESETS
from mcltoolkit.data.near_duplicates import THRESHOLD
from mcltoolkit.errors import ConfigError

PRESET, EXEMPLAR_LIST = "small", "exemplars_{split}.txt"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of the doctor."""
    add = parser.add_argument
    add("root", nargs="?", help="folder of the data set; with --config: in place of its data_root")
    add("--config", help="examine the data set of this config (FolderDataset, ADE20K)")
    add("--config-out", type=Path, help="write a config that trains on the data set")
    add("--overwrite", action="store_true", help="replace a config or palette that exists")
    add("--preset", choices=list(PRESETS), help=f"of the config written (default {PRESET})")
    add("--size", help="training size: short side or HEIGHTxWIDTH (64 small, 256 full)")
    add("--num-classes", type=int, help="default: lines of classes.txt, or as the labels have")
    add("--ignore-label", type=int, help="value that means unknown, such as 255")
    add("--exemplar-list", help=f"name of the lists below ROOT (default {EXEMPLAR_LIST})")
    add("--palette", type=Path, help="palette file: which colour is which class")
    add("--palette-out", type=Path, help="write the colours found, as a palette to complete")
    add("--convert-labels", type=Path, metavar="FOLDER", help="write label maps by --palette")
    add("--threshold", type=float, default=THRESHOLD, help="of near-duplicates (%(default)s)")
    add("--accept", nargs="+", default=[], metavar="CODE", help="findings to leave out")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    add("--json", type=Path, help="write everything found, all files named")


def check_options(options: argparse.Namespace) -> None:
    """Check what the options say together, and set the preset and list name that were left out.

    Raises:
        ConfigError: one lacks another or contradicts it, or a file to write is there already.
    """
    if not options.root and not options.config:
        raise ConfigError("nothing to examine: give ROOT, the folder of the data set, or --config")
    if options.convert_labels and not options.palette:
        raise ConfigError("--convert-labels needs --palette: colours are never guessed")
    if options.config and (options.config_out or options.palette):
        raise ConfigError(
            "--config examines the data set as that config has it; give ROOT instead for "
            "--palette and --config-out"
        )
    for name in ("num_classes", "ignore_label"):
        if getattr(options, name) is not None and (options.palette or options.config):
            raise ConfigError(
                f"--{name.replace('_', '-')} is told by --palette or --config already; leave it out"
            )
    for name in ("size", "preset", "exemplar_list"):
        if getattr(options, name) is not None and options.config:
            raise ConfigError(
                f"--{name.replace('_', '-')} is told by --config already; leave it out, or change "
                f"{options.config}"
            )
    # Both are written to be changed by hand, and looking at all files may take long.
    for name in ("config_out", "palette_out"):
        path = getattr(options, name)
        if path is not None and path.exists() and not options.overwrite:
            raise ConfigError(
                f"{path} exists; add --overwrite to replace it, or choose another "
                f"--{name.replace('_', '-')}"
            )
    options.preset = options.preset or PRESET
    options.exemplar_list = options.exemplar_list or EXEMPLAR_LIST
