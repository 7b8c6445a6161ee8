"""Translate with a checkpoint alone: python tools/translate.py CHECKPOINT --condition C.png
--exemplar E.png [--exemplar-condition EC.png] --out O.png [options]."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, os.getcwd())

import numpy as np

from mcltoolkit.engine.launch import run_tool
from mcltoolkit.errors import ConfigError
from mcltoolkit.inference import load_model, translate
from mcltoolkit.visualization.images import save_png


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="trained, or from tools/convert_checkpoint.py")
    parser.add_argument(
        "--condition", required=True, help="label PNG, or .npy of channels x height x width"
    )
    parser.add_argument("--exemplar", required=True, help="picture whose style is asked for")
    parser.add_argument(
        "--exemplar-condition", help="condition of the exemplar, where the model reads it"
    )
    parser.add_argument("--out", required=True, help="PNG file to write")
    parser.add_argument("--warped", help="PNG file for the exemplar warped to the condition")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--device", help="such as cpu or cuda:0; default a GPU if there is one")
    parser.add_argument("--plugins", nargs="+", default=[], help="modules that register components")
    return parser.parse_args()


def _check_places(options: argparse.Namespace) -> None:
    """No picture may take the place of another, written or read."""
    taken: dict[Path, str] = {}
    for name in ("condition", "exemplar", "exemplar_condition", "out", "warped"):
        if not (given := getattr(options, name)):
            continue
        place = Path(given).resolve()
        if name in ("out", "warped") and place in taken:
            raise ConfigError(
                f"--{name} and {taken[place]} are both {given}; give --{name} another file name"
            )
        taken[place] = f"--{name.replace('_', '-')}"


def main() -> None:
    """Load the model, translate, write the pictures."""
    options = _parse()
    for path in filter(None, (options.out, options.warped)):
        if Path(path).suffix.lower() != ".png":
            raise ConfigError(f"{path} is no .png file name; pictures are written as PNG")
    _check_places(options)
    if options.size and min(options.size) < 1:
        raise ConfigError(f"--size is {options.size}; allowed are sizes >= 1")
    result = translate(
        options.condition,
        options.exemplar,
        load_model(options.checkpoint, options.device, options.plugins),
        exemplar_condition=options.exemplar_condition,
        size=tuple(options.size) if options.size else None,
        say=print,
    )
    for path, picture in ((options.out, result.array), (options.warped, np.array(result.warped))):
        if path:
            print(f"{save_png(picture, path)}: {picture.shape[0]}x{picture.shape[1]}")


if __name__ == "__main__":
    run_tool(main)
