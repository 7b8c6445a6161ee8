"""What to tell about ranks that ended badly: the cause first."""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping
from typing import Any

from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from mcltoolkit.launcher.ending import LOST_CONTACT

CAUSES = {
    signal.SIGKILL: "most often the memory ran out (`dmesg` tells; lower batch_size or "
    "num_workers), or the scheduler or somebody killed it",
    signal.SIGBUS: "most often shared memory ran out (/dev/shm; lower num_workers), or a disk",
    signal.SIGSEGV: "a fault in compiled code; PYTHONFAULTHANDLER=1 shows where",
    signal.SIGABRT: "compiled code gave up; its last lines above say why",
    signal.SIGTERM: "somebody or the scheduler ended it",
}


def failure_report(failures: Mapping[int, ProcessFailure], nodes: int = 1) -> tuple[str, int]:
    """What to tell about ranks that ended badly, the cause first, and the status to end with.

    Args:
        failures: by rank, of this node.
        nodes: number of nodes of the run.
    """
    rank = min(failures, key=lambda r: (_blame(failures[r]), failures[r].timestamp))
    cause = failures[rank]
    status = cause.exitcode if cause.exitcode > 0 else 128 - cause.exitcode
    message, traceback = _told(cause)
    who = f"rank {rank} (process {cause.pid} on {socket.gethostname()})"
    if cause.exitcode == LOST_CONTACT:
        place = "on the other nodes" if nodes > 1 else "above"
        lines = [f"{who} lost contact with the other ranks: look for the first error {place}"]
    elif cause.exitcode < 0:
        number = signal.Signals(-cause.exitcode)
        lines = [f"{who} was killed by {number.name}: {CAUSES.get(number, 'see its last lines')}"]
    elif message and cause.exitcode == 2:
        lines = [message, f"(said by {who})"]
    elif message:
        lines = [f"{who} failed: {message}"]
    else:
        lines = [f"{who} ended with status {cause.exitcode}; its lines above say why"]
    others = sorted(set(failures) - {rank})
    if others:
        lines.append(f"ranks {', '.join(map(str, others))} of this node were ended with it")
    if traceback and cause.exitcode != 2:
        lines.append(f"\n{traceback.rstrip()}")
    return "\n".join(lines), status


def _blame(failure: ProcessFailure) -> int:
    """0 for what can be the cause, more for what follows from another rank's end."""
    if failure.exitcode == LOST_CONTACT:
        return 2
    return 1 if failure.exitcode == -signal.SIGTERM else 0


def _told(failure: ProcessFailure) -> tuple[str, str]:
    """Message and traceback that the rank recorded, empty where it could not."""
    found: Any = failure.message
    if not isinstance(found, dict):
        return "", ""
    return str(found.get("message", "")), str(
        (found.get("extraInfo") or {}).get("py_callstack", "")
    )
