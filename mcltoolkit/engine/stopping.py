"""Signals that ask a training to save and stop."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from mcltoolkit.data import loader
from mcltoolkit.errors import ToolkitError

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGUSR1")
    if hasattr(signal, name)  # Windows has no SIGUSR1
)


class TrainingStopped(ToolkitError):  # noqa: N818  (it is not a failure)
    """A training saved its checkpoint and stopped because it was asked to.

    Attributes:
        status: exit status for the command, 128 + number of the signal.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ValidationAborted(Exception):  # noqa: N818
    """A validation was left half-way because the training is to stop."""


class StopSignals:
    """Remembers the first signal to stop; as a context, signals are caught inside.

    SIGTERM and SIGINT come from people, launchers and Slurm's pre-emption, SIGUSR1 from
    `srun --signal=USR1@SECONDS`. A second SIGINT stops at once, without saving. Outside the main
    thread no signals can be caught, and none are.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before if before is not None else signal.SIG_DFL)
        self._before.clear()
        loader.workers_may_die = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is None:
            self.received = number
            loader.workers_may_die = True
            name = signal.Signals(number).name
            # print() may be in the middle of a line
            os.write(2, f"\n{name}: saving a checkpoint after this step, then stopping\n".encode())


def ignore_in_worker() -> None:
    """A loader's process leaves it to the main process what to do about a signal that a terminal
    or Slurm sends to all; SIGTERM, with which torch ends workers, keeps its meaning."""
    for number in SIGNALS:
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
        else:
            signal.signal(number, signal.SIG_IGN)
