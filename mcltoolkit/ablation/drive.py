"""A whole ablation on this machine: what is left to do is run, the tables are kept up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from mcltoolkit.ablation.matrix import Matrix
from mcltoolkit.ablation.plan import Run
from mcltoolkit.ablation.pool import run_all
from mcltoolkit.ablation.report import check_metrics, write_tables
from mcltoolkit.ablation.results import NOT_RUN, State, state
from mcltoolkit.engine.config import check_writable
from mcltoolkit.errors import ConfigError

FAILED, INTERRUPTED = 1, 130


def drive(
    matrix: Matrix, runs: Sequence[Run], picked: Sequence[Run], work_dir: str | Path, jobs: int = 1
) -> int:
    """Run those of `picked` that are not finished and write the tables of all `runs`.

    Returns:
        The exit status: 0, 1 if runs failed, 130 if interrupted.

    Raises:
        ConfigError: no worker, a folder that cannot be written or that another call is working in,
            or a metric that no run gives.
    """
    if jobs < 1:
        raise ConfigError(f"--jobs is {jobs}; allowed are values >= 1")
    check_writable(work_dir)
    try:
        with FileLock(Path(work_dir) / ".lock", timeout=0):
            return _drive(matrix, runs, picked, work_dir, jobs)
    except Timeout:
        raise ConfigError(
            f"another tools/ablate.py is working in {work_dir}; wait for its end or stop it, or "
            f"give another --work-dir"
        ) from None


def _drive(
    matrix: Matrix, runs: Sequence[Run], picked: Sequence[Run], work_dir: str | Path, jobs: int
) -> int:
    # a row with a config of its own may be the only one that gives a metric
    alike = all(row.config is None for row in matrix.rows)
    todo, results = [], []
    for run in picked:
        found = state(run)
        if found.result is not None:
            results.append(found.result)
        else:
            todo.append(run)
            if found.why != NOT_RUN:
                print(f"again   {run.title}: {found.why}")
    if alike:
        check_metrics(matrix, results)
    print(f"{len(picked) - len(todo)} of {len(picked)} runs are finished already", flush=True)

    def after(run: Run, ended: State) -> None:
        if ended.result is not None:
            results.append(ended.result)
            if alike:
                check_metrics(matrix, results)
        write_tables(matrix, runs, work_dir)

    try:
        failed = run_all(todo, jobs, after) if todo else []
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here")
        return INTERRUPTED
    print(f"table: {write_tables(matrix, runs, work_dir)}")
    check_metrics(matrix, results)
    for run in failed:
        print(f"FAILED  {run.title}: {state(run).why}")
    return FAILED if failed else 0
