"""One call from a checkpoint to a folder with verified files, a model card and `io.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mcltoolkit.engine.files import load_plain
from mcltoolkit.errors import ConfigError
from mcltoolkit.export import card, description
from mcltoolkit.export.capture import capture
from mcltoolkit.export.onnx_model import DEFAULT_OPSET, check_onnx, open_onnx, write_onnx
from mcltoolkit.export.place import check_place, whole_folder
from mcltoolkit.export.signature import Signature, signature_of
from mcltoolkit.export.terms import data_set, terms
from mcltoolkit.export.torch_program import open_program, write_program
from mcltoolkit.export.verify import CASES, TOLERANCE, check_tolerance, deviations
from mcltoolkit.files import sha256_of, write_atomically
from mcltoolkit.inference.checkpoint import load_model
from mcltoolkit.inference.model import TranslationModel

FORMATS = ("onnx", "torch-export")
ONNX_FILE, PROGRAM_FILE = "model.onnx", "model.pt2"


def export_model(
    checkpoint: str | Path,
    out: str | Path,
    formats: Sequence[str] = FORMATS,
    size: tuple[int, int] | None = None,
    *,
    opset: int = DEFAULT_OPSET,
    metrics: str | Path | None = None,
    licence: str | None = None,
    name: str | None = None,
    plugins: Sequence[str] = (),
    tolerance: float = TOLERANCE,
    overwrite: bool = False,
    say: Callable[[str], object] = lambda line: None,
) -> dict[str, Any]:
    """Write the folder, whole or not at all.

    Every file is run, on made-up inputs of several batch sizes, and compared with the model in
    memory before the folder gets its name.

    Args:
        checkpoint: trained here, or converted.
        out: folder to make.
        formats: of `FORMATS`.
        size: (H, W); default the model's test size. The exported model has no other.
        opset: of ONNX.
        metrics: `metrics.json` of a test, for the card.
        licence: of the weights, for the card, such as `cc-by-nc-4.0`.
        name: title of the card; default the checkpoint's file name.
        plugins: modules that register components.
        tolerance: largest difference allowed, on images in [-1, 1].
        overwrite: replace a folder that an export wrote.
        say: called with a line for each step.

    Returns:
        The content of `io.json`.

    Raises:
        ConfigError: a format cannot be written, differs from the model, or the place is taken.
        WeightsError: the checkpoint cannot be used.
    """
    wanted = _check_formats(formats, opset)
    check_tolerance(tolerance)
    needed = {"checkpoint": checkpoint, "metrics file": metrics}
    out = check_place(Path(out), overwrite, needed)
    results = None if metrics is None else _read_metrics(metrics)
    say(f"reading {checkpoint}")
    model = load_model(checkpoint, "cpu", plugins)
    signature = signature_of(model, size)
    with whole_folder(out, overwrite, needed) as folder:
        say(
            f"capturing the graph: {', '.join(signature.inputs)} at "
            f"{signature.size[0]}x{signature.size[1]} (a large model takes minutes)"
        )
        program = capture(model.translator, signature)
        files: dict[str, dict[str, Any]] = {}
        if "onnx" in wanted:
            say(f"writing {ONNX_FILE} (opset {opset})")
            written = write_onnx(program, signature, folder / ONNX_FILE, opset)
            say(f"running {ONNX_FILE} in ONNX Runtime, against the model in memory")
            run = open_onnx(folder / ONNX_FILE)
            files["onnx"] = {"version": f"opset {opset}", "opset": opset}
            files["onnx"] |= _verified(run, model, signature, tolerance, ONNX_FILE, written)
        if "torch-export" in wanted:
            say(f"writing {PROGRAM_FILE}")
            written = write_program(program, folder / PROGRAM_FILE)
            say(f"running {PROGRAM_FILE}, against the model in memory")
            run = open_program(folder / PROGRAM_FILE)
            files["torch-export"] = {"version": f"torch {torch.__version__}"}
            files["torch-export"] |= _verified(
                run, model, signature, tolerance, PROGRAM_FILE, written
            )
        say(f"writing {description.FILE} and the model card {card.FILE}")
        facts, task = _facts(model, checkpoint, name)
        content = description.describe(model, signature, files)
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
        write_atomically(folder / description.FILE, text.encode())
        notes = terms(model.config, task, licence)
        text = card.card(model, facts, content, notes, results, licence)
        write_atomically(folder / card.FILE, text.encode())
    return content


def _check_formats(formats: Sequence[str], opset: int) -> list[str]:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ConfigError(
            f"--format {' '.join(formats) or '(none)'}; allowed are {' and '.join(FORMATS)}"
        )
    if "onnx" in formats:
        check_onnx(opset)
    return [name for name in FORMATS if name in formats]


def _verified(
    run: Any,
    model: TranslationModel,
    signature: Signature,
    tolerance: float,
    what: str,
    written: Sequence[Path],
) -> dict[str, Any]:
    found = deviations(run, model.translator, signature, tolerance, what)
    return {
        "deviation": found,
        "tolerance": tolerance,
        "batches": sorted({batch for _, batch in CASES}),
        "files": {
            path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for path in written
        },
    }


def _read_metrics(path: str | Path) -> Mapping[str, Any]:
    from mcltoolkit.metrics.results import read_results

    results: Mapping[str, Any] = read_results(path)
    return results


def _facts(
    model: TranslationModel, checkpoint: str | Path, name: str | None
) -> tuple[dict[str, Any], str | None]:
    """Lines of the card's table, and the task of a converted checkpoint."""
    meta = load_plain(checkpoint).get("meta") or {}
    parts = {
        key: part["type"]
        for key, part in model.config["model"].items()
        if isinstance(part, Mapping) and "type" in part
    }
    shown = ("condition_encoder", "self_correlation", "correspondence", "generator")
    dataset = data_set(model.config)
    task = meta.get("task")
    facts = {
        "name": name or Path(checkpoint).stem,
        "networks": ", ".join(f"{parts[key]}" for key in shown if key in parts),
        "data set": dataset.get("type", "unknown" if task is None else f"CoCosNet's {task}"),
        "training steps": meta.get("iter", "unknown"),
        "checkpoint (SHA-256)": f"`{sha256_of(checkpoint)}`",
    }
    return facts, None if task is None else str(task)
