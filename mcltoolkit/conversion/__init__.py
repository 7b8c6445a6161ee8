"""Checkpoints of the released CoCosNet, read and written."""

from mcltoolkit.conversion.convert import to_cocosnet, to_toolkit
from mcltoolkit.conversion.files import convert_files, read_released, summary, write_cocosnet
from mcltoolkit.conversion.names import NETWORKS, to_ours, to_theirs
from mcltoolkit.conversion.recipes import RECIPES, assemble_config
from mcltoolkit.conversion.shapes import infer

__all__ = [
    "NETWORKS",
    "RECIPES",
    "assemble_config",
    "convert_files",
    "infer",
    "read_released",
    "summary",
    "to_cocosnet",
    "to_ours",
    "to_theirs",
    "to_toolkit",
    "write_cocosnet",
]
