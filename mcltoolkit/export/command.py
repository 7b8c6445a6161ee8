"""`mcltoolkit export` and tools/export.py: the options, and what is printed."""

from __future__ import annotations

import argparse

from mcltoolkit.commands import Commands


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of an export."""
    parser.add_argument("checkpoint", help="trained, or from tools/convert_checkpoint.py")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder to make")
    parser.add_argument(
        "--format",
        nargs="+",
        default=["onnx", "torch-export"],
        metavar="FORMAT",
        help="onnx, torch-export (default both)",
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of the images, fixed in the exported model; default the model's test size",
    )
    parser.add_argument("--opset", type=int, default=18, help="of ONNX, 18 to 23; default 18")
    parser.add_argument("--metrics", metavar="FILE", help="metrics.json of a test, for the card")
    parser.add_argument("--license", metavar="NAME", help="of the weights, for the card")
    parser.add_argument("--name", help="title of the card; default the checkpoint's file name")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        help="largest difference to the model in memory, on images in [-1, 1]; default 1e-4",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    parser.add_argument("--plugins", nargs="+", default=[], help="modules that register components")


def run(options: argparse.Namespace) -> None:
    """Export, and print what was written and how far it is from the model in memory."""
    from mcltoolkit.export.folder import export_model

    content = export_model(
        options.checkpoint,
        options.out,
        options.format,
        tuple(options.size) if options.size else None,
        opset=options.opset,
        metrics=options.metrics,
        licence=options.license,
        name=options.name,
        plugins=options.plugins,
        tolerance=options.tolerance,
        overwrite=options.overwrite,
        say=lambda line: print(line, flush=True),
    )
    for facts in content["files"].values():
        found = ", ".join(f"{name} {value:.1e}" for name, value in facts["deviation"].items())
        for name, file in facts["files"].items():
            print(f"{options.out}/{name}: {file['bytes'] / 1e6:.1f} MB")
        print(f"  {facts['version']}; largest difference to the model in memory: {found}")
    print(f"{options.out}/README.md is the model card, io.json tells programs the same")


def add_command(commands: Commands) -> None:
    """Add `mcltoolkit export`."""
    parser = commands.add_parser(
        "export", help="write a checkpoint as verified ONNX and torch.export files"
    )
    add_options(parser)
    parser.set_defaults(run=run)
