"""Runs in parallel worker processes, with one progress bar over all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mcltoolkit.ablation.plan import Run
from mcltoolkit.ablation.results import State, failure_file, read_json, read_result, state
from mcltoolkit.ablation.worker import prepare
from mcltoolkit.files import write_json

WORKER = (sys.executable, "-m", "mcltoolkit.ablation.worker")
POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0


@dataclass
class _Job:
    run: Run
    slot: int
    process: subprocess.Popen
    task: TaskID


def run_all(
    runs: Sequence[Run], jobs: int, after: Callable[[Run, State], None] | None = None
) -> list[Run]:
    """Run what is given, `jobs` at a time; a failed run does not stop the others.

    Args:
        runs: those to run.
        jobs: processes at a time.
        after: called when a run has ended; what it raises stops all.

    Returns:
        The runs that failed.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; all workers have ended by then, and the next call
            goes on from their newest checkpoints.
    """
    waiting, active, failed = list(runs), list[_Job](), list[Run]()
    with _bar() as bar, _interruptible():
        whole = bar.add_task("all runs", total=len(waiting), note="")
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    slot = min(set(range(jobs)) - {job.slot for job in active})
                    active.append(_start(waiting.pop(0), slot, jobs, bar))
                time.sleep(POLL_SECONDS)
                done = 0.0
                for job in list(active):
                    if job.process.poll() is None:
                        done += _show_step(job, bar)
                        continue
                    active.remove(job)
                    bar.remove_task(job.task)
                    if not _ended_well(job, bar):
                        failed.append(job.run)
                    if after is not None:
                        after(job.run, state(job.run))
                finished = len(runs) - len(waiting) - len(active)
                bar.update(whole, completed=finished + done, note=f"{finished} of {len(runs)}")
        finally:
            _stop(active)
    return failed


def worker_environment(
    slot: int, jobs: int, cores: int, gpus: Sequence[str], given: Mapping[str, str]
) -> dict[str, str]:
    """Environment of a worker: the cores shared out, one GPU each where there are several.

    Args:
        slot: 0..jobs-1, of this worker.
        jobs: workers at a time.
        cores: of the machine.
        gpus: names of the visible GPUs.
        given: the caller's environment; its OMP_NUM_THREADS wins.
    """
    environment = {"OMP_NUM_THREADS": str(max(1, cores // jobs)), **given}
    if len(gpus) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    return environment


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> list[str]:
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def _start(run: Run, slot: int, jobs: int, bar: Progress) -> _Job:
    prepare(run)
    failure_file(run).unlink(missing_ok=True)
    (run.folder / "step").unlink(missing_ok=True)
    with open(run.log_file, "ab") as log:
        process = subprocess.Popen(
            [*WORKER, str(run.folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=worker_environment(slot, jobs, cores(), _gpus(), os.environ),
            start_new_session=True,  # Ctrl-C reaches only this process, which ends the others
        )
    return _Job(run, slot, process, bar.add_task(f"  {run.title}", total=None, note="starts"))


def _show_step(job: _Job, bar: Progress) -> float:
    """Show a job's step; the share of its training that is done."""
    try:
        step, total = map(int, (job.run.folder / "step").read_text().split())
    except (OSError, ValueError):
        return 0.0
    note = "tests" if (job.run.folder / "trained.json").is_file() else f"step {step} of {total}"
    bar.update(job.task, completed=step, total=total, note=note)
    return step / total


def _ended_well(job: _Job, bar: Progress) -> bool:
    run, code = job.run, job.process.returncode
    _close(job)
    well = read_result(run) is not None
    if not well and read_json(failure_file(run)) is None:
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        write_json(failure_file(run), {"error": f"the process {ended}"})
    bar.console.print("done   " if well else "FAILED ", run.title, highlight=False, markup=False)
    return well


def _stop(active: Sequence[_Job]) -> None:
    """End workers and their data loaders."""
    for job in active:
        _signal(job, signal.SIGTERM)
    until = time.monotonic() + GRACE_SECONDS
    for job in active:
        try:
            job.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(job, signal.SIGKILL)
            job.process.wait()
        _close(job)


def _close(job: _Job) -> None:
    assert job.process.stdin is not None
    job.process.stdin.close()


def _signal(job: _Job, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(job.process.pid, number)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM both raise KeyboardInterrupt, so that no worker is left behind; SIGINT too
    where a shell started this process in the background, which makes it deaf to that."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        speed_estimate_period=600,
    )
