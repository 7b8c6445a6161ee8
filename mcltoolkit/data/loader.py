"""torch's DataLoader that logs what was skipped and says what a dead worker was reading."""

from __future__ import annotations

import logging
import re
import signal
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.logging import print_log
from torch.utils.data import DataLoader

from mcltoolkit.data.error_policy import Incident
from mcltoolkit.data.guarded import IDLE, Delivery, GuardedCollate, GuardedDataset
from mcltoolkit.data.records import few
from mcltoolkit.errors import DataError, ToolkitError

_PIDS = re.compile(r"DataLoader worker \(pids?(?:\(s\))? ([\d, ]+)\)(.*)", re.DOTALL)
_END_SECONDS = 2.0  # within which a worker that broke a connection is known to have ended
workers_may_die = False  # set where the process is told to stop, which its workers are, too
_loaders: weakref.WeakSet[WatchedLoader] = weakref.WeakSet()


class WatchedLoader(DataLoader):
    """A loader over a `GuardedDataset`, made of an ordinary one by `watch`.

    Attributes:
        skipped: the unreadable samples met so far in this process, by index.
        replaced: how often one was replaced.
    """

    guard: GuardedDataset
    skipped: dict[int, Incident]
    replaced: int

    @classmethod
    def watch(cls, loader: DataLoader, guard: GuardedDataset) -> WatchedLoader:
        """The same loader, watched; it draws nothing from the process's random generator.

        Args:
            loader: whose data set is `guard`, or a part of it; not used otherwise.
        """
        watched = cls.__new__(cls)
        watched.__dict__.update(loader.__dict__)
        watched.guard, watched.skipped, watched.replaced = guard, {}, 0
        watched.collate_fn = GuardedCollate(loader.collate_fn)
        if watched.generator is None:
            # A new epoch's seed for the workers would otherwise be drawn from the global one,
            # once more often in a resumed training than in an uninterrupted one.
            watched.generator = torch.Generator().manual_seed(guard.seed)
        _loaders.add(watched)
        return watched

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        iterator = super().__iter__()
        _explain_signals()
        return self._unpack(iterator)

    def _unpack(self, iterator: Iterator[Any]) -> Iterator[Any]:
        while True:
            try:
                delivery = next(iterator)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                told = error.__cause__  # by the signal handler below, which torch interrupts
                if isinstance(told, DataError):
                    explained: DataError | None = told
                elif isinstance(error, RuntimeError):
                    explained = explain_dead_worker(error, [self])
                else:
                    explained = explain_broken_transfer(getattr(iterator, "_workers", ()), [self])
                if explained is None:
                    raise
                self._iterator = None  # persistent workers are of no more use
                del iterator
                try:
                    raise explained from None
                finally:  # or the error would keep itself, and what its traceback holds
                    del told, explained
            if not isinstance(delivery, Delivery):
                yield delivery
                continue
            try:
                self._note(delivery.incidents)
                if delivery.failure is not None:
                    delivery.failure.throw()
                yield delivery.batch
            except (ToolkitError, GeneratorExit):
                # Workers end with their iterator. If the error's traceback or the runner kept it,
                # the garbage collector would take its queues before it, and each worker would be
                # waited for in vain: 5 s each at the end of a training.
                self._iterator = None
                del iterator
                raise

    def _note(self, incidents: list[Incident]) -> None:
        limit = self.guard.policy.limit(len(self.guard))
        for incident in incidents:
            self.replaced += 1
            self.skipped.setdefault(incident.index, incident)
            print_log(
                f"data: {incident} ({len(self.skipped)} unreadable samples so far, at most "
                f"{limit} allowed)",
                logger="current",
                # other ranks show nothing below an error
                level=logging.WARNING if get_rank() == 0 else logging.ERROR,
            )
        if len(self.skipped) > limit:
            files = [f"{found.sample}: {found.reason}" for found in self.skipped.values()]
            raise DataError(
                f"{len(files)} samples are unreadable, on_error.max_skipped allows {limit}:\n"
                + "\n".join(files[:20])
                + (f"\n... {len(files) - 20} more" if len(files) > 20 else "")
                + "\nRestore the files, or raise train_dataloader.on_error.max_skipped"
            )

    def read_by(self, pids: set[int]) -> list[str]:
        """What these of the loader's workers were reading; nothing for those between samples."""
        found = []
        for pid, index in self.guard.reading.tolist():
            if pid in pids and index != IDLE:
                found.append(self.guard.describe(index))
        return found


def explain_dead_worker(error: BaseException, loaders: Iterable[WatchedLoader]) -> DataError | None:
    """What torch says of a dead worker or of a time-out, with the sample that it was reading; None
    for other errors.

    Args:
        loaders: one of which the worker belongs to.
    """
    loaders = list(loaders)
    timeout = str(error).startswith("DataLoader timed out")
    match = _PIDS.search(str(error))
    if match is None and not timeout:
        return None
    if match is None:
        pids = {p for loader in loaders for p in loader.guard.reading[:, 0].tolist() if p != IDLE}
        what = str(error).rstrip(". ")
    else:
        pids = {int(pid) for pid in match[1].split(",")}
        fate = match[2].split(".")[0].strip() or "exited unexpectedly"
        what = f"data worker (process {', '.join(map(str, sorted(pids)))}) {fate}"
    return _told(what, pids, loaders)


def explain_broken_transfer(
    workers: Sequence[BaseProcess], loaders: Iterable[WatchedLoader]
) -> DataError | None:
    """What an error of a connection or pipe means, if a worker died while it handed a sample over;
    None where none did.

    Args:
        workers: the loader's.
        loaders: one of which they belong to.
    """
    for worker in workers:  # the connection may break before the system knows of the end
        worker.join(_END_SECONDS / len(workers))
    ended = {worker.pid or 0: worker.exitcode for worker in workers if not worker.is_alive()}
    if not ended:
        return None
    codes = ", ".join(map(str, sorted(set(ended.values()), key=str)))
    names = ", ".join(map(str, sorted(ended)))
    what = f"data worker (process {names}) ended with exit code {codes}"
    return _told(what, set(ended), list(loaders))


def _told(what: str, pids: set[int], loaders: Sequence[WatchedLoader]) -> DataError:
    read = [text for loader in loaders for text in loader.read_by(pids)]
    return DataError(
        f"{what} while reading {few(read) if read else 'no sample'}. If the machine ran "
        f"out of memory (dmesg, or Slurm's oom_kill line), lower num_workers or batch_size of the "
        f"data loader; if this file brings its reader down, repair or remove it: num_workers=0 "
        f"shows where it happens"
    )


def _explain_signals() -> None:
    """Let torch's handler, which raises wherever the main process is, raise the toolkit's error."""
    if threading.current_thread() is not threading.main_thread():
        return
    theirs = signal.getsignal(signal.SIGCHLD)
    if not callable(theirs) or getattr(theirs, "explains", False):
        return

    def handler(number: int, frame: Any) -> None:
        try:
            theirs(number, frame)
        except RuntimeError as error:
            if workers_may_die:  # the next batch will tell
                return
            explained = explain_dead_worker(error, _loaders)
            if explained is None:
                raise
            try:
                raise explained from error
            finally:  # or the error would keep itself, and the loader's iterator with it
                del explained

    handler.explains = True  # type: ignore[attr-defined]
    signal.signal(signal.SIGCHLD, handler)
