"""The doctor's command line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mcltoolkit.data.doctor.ready_config import PRESETS
from mcltoolkit.data.near_duplicates import THRESHOLD
from mcltoolkit.errors import ConfigError


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of the doctor."""
    add = parser.add_argument
    add("root", nargs="?", help="folder of the data set; with --config: in place of its data_root")
    add("--config", help="examine the data set of this config (FolderDataset, ADE20K)")
    add("--config-out", type=Path, help="write a config that trains on the data set")
    add("--preset", choices=list(PRESETS), default="small", help="of the config written")
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


def check_options(options: argparse.Namespace) -> None:
    """Check what the options say together.

    Raises:
        ConfigError: one lacks another, or contradicts it.
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
