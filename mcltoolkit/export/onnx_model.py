"""An ONNX file of the captured graph, and ONNX Runtime to run it."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mcltoolkit.errors import ConfigError, described
from mcltoolkit.export.signature import OUTPUTS, Signature

# what torch's exporter writes without converting between versions
OPSETS = range(18, 24)
DEFAULT_OPSET = 18
NEEDED = ("onnx", "onnxscript", "onnxruntime")
# protobuf's limit is 2 GiB a file; the graph itself needs some of it
EXTERNAL_ABOVE = 1_500_000_000


def check_onnx(opset: int) -> None:
    """Check, before any work, that ONNX files can be made here.

    Raises:
        ConfigError: a package is missing, or an opset that torch does not write.
    """
    missing = []
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise ConfigError(
            f"ONNX files need the package{'s' if len(missing) > 1 else ''} {', '.join(missing)}, "
            f"not installed here; run `pip install mcltoolkit[export]`, or leave the format out: "
            f"--format torch-export"
        )
    if opset not in OPSETS:
        raise ConfigError(
            f"--opset is {opset}; allowed are {OPSETS.start} to {OPSETS.stop - 1}. {DEFAULT_OPSET} "
            f"runs on the widest range of runtimes"
        )


def write_onnx(
    program: ExportedProgram,
    signature: Signature,
    path: Path,
    opset: int = DEFAULT_OPSET,
    external_above: int | None = None,
) -> list[Path]:
    """Write the graph.

    Args:
        program: of `capture`.
        path: of the file; the weights lie in it, or in `NAME.data` beside it where they are large.
        opset: version of ONNX's operators, of `OPSETS`.
        external_above: bytes of weights from which these get a file of their own; default
            `EXTERNAL_ABOVE`.

    Returns:
        The files written.

    Raises:
        ConfigError: ONNX has no form for an operation, at this opset.
    """
    size = sum(t.numel() * t.element_size() for t in program.state_dict.values())
    external = size > (EXTERNAL_ABOVE if external_above is None else external_above)
    try:
        with _quiet():
            made: Any = torch.onnx.export(
                program,
                (),
                dynamo=True,
                opset_version=opset,
                dynamic_shapes={name: {0: "batch"} for name in signature.inputs},
                input_names=list(signature.inputs),
                output_names=list(OUTPUTS),
                verbose=False,
            )
            _forget_places(made.model)
            made.save(path, external_data=external)
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(
            f"the model has no ONNX form at opset {opset}: {described(error).splitlines()[0]}; try "
            f"another of {OPSETS.start} to {OPSETS.stop - 1}, or --format torch-export"
        ) from error
    _check(path, opset)
    data = path.with_name(f"{path.name}.data")
    return [path, data] if external else [path]


def open_onnx(path: Path) -> Callable[[Mapping[str, Tensor]], tuple[Tensor, ...]]:
    """The file in ONNX Runtime on the CPU: inputs by name -> outputs in the order of `OUTPUTS`.

    Raises:
        ConfigError: here or in the call, ONNX Runtime cannot read or run it.
    """
    import onnxruntime

    failed = (
        f"ONNX Runtime {onnxruntime.__version__} cannot run {path.name}: %s; try another --opset "
        f"({OPSETS.start} to {OPSETS.stop - 1}) or a newer onnxruntime, or leave this format out: "
        f"--format torch-export"
    )
    # its errors share no class but this one
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ConfigError(failed % described(error).splitlines()[0]) from error

    def run(inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        try:
            found = session.run(list(OUTPUTS), {name: t.numpy() for name, t in inputs.items()})
        except Exception as error:
            raise ConfigError(failed % described(error).splitlines()[0]) from error
        return tuple(torch.from_numpy(value) for value in found)

    return run


def _forget_places(model: Any) -> None:
    """Drop the lines of source that operations came from: they name folders of this machine, and
    take a good part of a small file."""
    from onnx_ir.traversal import RecursiveGraphIterator

    for node in RecursiveGraphIterator(model.graph):
        node.metadata_props.clear()


def _check(path: Path, opset: int) -> None:
    import onnx

    try:
        onnx.checker.check_model(str(path))
        header = onnx.load(str(path), load_external_data=False)
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{path.name}, written by torch {torch.__version__} at opset {opset}, is no valid ONNX "
            f"file for onnx {onnx.__version__}: {described(error).splitlines()[0]}; try another "
            f"--opset ({OPSETS.start} to {OPSETS.stop - 1}) or a newer onnx, or leave this format "
            f"out: --format torch-export"
        ) from error
    found = {entry.domain or "ai.onnx": entry.version for entry in header.opset_import}
    if found != {"ai.onnx": opset}:
        raise ConfigError(
            f"torch wrote {found} where --opset {opset} was asked for; give the opset that it wrote"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter warns of names that it shortens; what counts is verified afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
