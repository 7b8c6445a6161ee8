"""A `.pt2` file of the captured graph: torch.export's own format, for programs that have torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram


def write_program(program: ExportedProgram, path: Path) -> list[Path]:
    """Write the graph; returns the files written, which is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, path)
    return [path]


def open_program(path: Path) -> Callable[[Mapping[str, Tensor]], tuple[Tensor, ...]]:
    """The file, read again: inputs by name -> outputs in the order of `OUTPUTS`."""
    module = torch.export.load(path).module()

    def run(inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            found: tuple[Tensor, ...] = module(*inputs.values())
        return tuple(found)

    return run
