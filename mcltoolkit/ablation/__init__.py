"""Ablations from one file: a matrix of runs, their results side by side."""

from mcltoolkit.ablation.commands import command
from mcltoolkit.ablation.matrix import Matrix, read_matrix
from mcltoolkit.ablation.plan import Run, chosen, combinations, plan
from mcltoolkit.ablation.published import PUBLISHED
from mcltoolkit.ablation.report import check_metrics, write_tables
from mcltoolkit.ablation.results import state

__all__ = [
    "PUBLISHED",
    "Matrix",
    "Run",
    "check_metrics",
    "chosen",
    "combinations",
    "command",
    "plan",
    "read_matrix",
    "state",
    "write_tables",
]
