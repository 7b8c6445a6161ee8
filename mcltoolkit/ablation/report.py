"""What an ablation leaves in its work directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mcltoolkit.ablation.matrix import Matrix
from mcltoolkit.ablation.plan import Run
from mcltoolkit.ablation.plot import draw
from mcltoolkit.ablation.results import Result, state
from mcltoolkit.ablation.statistics import tabulate
from mcltoolkit.ablation.table import markdown, runs_csv, summary_csv
from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.files import write_atomically
from mcltoolkit.metrics.results import Result as Measured
from mcltoolkit.metrics.results import check_comparable


def write_tables(matrix: Matrix, runs: Sequence[Run], work_dir: str | Path) -> Path:
    """Write `table.md`, `table.csv`, `summary.csv` and `table.png`; the path of the first.

    Args:
        matrix: the matrix.
        runs: all of its runs, finished or not.
        work_dir: folder for the files.

    Raises:
        ConfigError: values of one column were measured in different ways; the runs are kept.
    """
    states = [(run, state(run)) for run in runs]
    check_protocols(
        matrix, {run.title: found.result for run, found in states if found.result is not None}
    )
    table = tabulate(matrix, [(run, found.result) for run, found in states])
    folder = Path(work_dir)
    write_atomically(folder / "table.csv", runs_csv(matrix, states).encode())
    write_atomically(folder / "summary.csv", summary_csv(matrix, table).encode())
    write_atomically(folder / "table.png", draw(matrix, table))
    return write_atomically(folder / "table.md", markdown(matrix, states, table).encode())


def check_metrics(matrix: Matrix, results: Iterable[Result]) -> None:
    """Make sure that every metric of the matrix is given by at least one finished run, if there is
    one.

    Raises:
        ConfigError: a metric that none gives; the message has near matches.
    """
    given = {name for result in results for name in result.metrics}
    for column in matrix.columns:
        if given and column.name not in given:
            raise ConfigError(
                f"{matrix.path}: metrics: {column.name} is not among what the runs give"
                f"{near_matches(column.name, given)}; they give {', '.join(sorted(given))}. "
                f"Correct the name, or add a metric to the config's test_evaluator; finished runs "
                f"are kept"
            )


def check_protocols(matrix: Matrix, results: Mapping[str, Result]) -> None:
    """Make sure that the values of each column were measured in one way.

    Args:
        matrix: the matrix.
        results: of the finished runs, by title.

    Raises:
        ConfigError: passports of a metric differ; see `check_comparable`.
    """
    shown = {column.name for column in matrix.columns}
    check_comparable(
        {
            title: {
                name: Measured(value, result.passports.get(name, {}))
                for name, value in result.metrics.items()
                if name in shown
            }
            for title, result in results.items()
        }
    )
