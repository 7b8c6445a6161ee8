"""torchrun with the cause of a failure on the first lines.

    python -m mcltoolkit.engine.launcher PROCESSES TOOL [ARGUMENTS of the tool]

is what tools/dist_train.sh and tools/dist_test.sh call. NNODES, NODE_RANK, MASTER_ADDR and PORT (or
MASTER_PORT) of the environment say where the processes meet; one node without PORT takes a free
port. SIGTERM, SIGINT and SIGUSR1 are passed on to the ranks, which decide what they do; the
launcher waits for them and ends with their status.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcltoolkit.engine.ending import FOLDER, LOST_CONTACT, rank_processes

# torchrun's own log lines would come before the cause; LOGLEVEL=INFO brings them back
_chosen_level = os.environ.get("LOGLEVEL")
os.environ["LOGLEVEL"] = _chosen_level or "CRITICAL"

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.run import parse_args, run

if _chosen_level is None:
    del os.environ["LOGLEVEL"]

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
DEFAULT_PORT = "29500"
CAUSES = {
    signal.SIGKILL: "most often the memory ran out (`dmesg` tells; lower batch_size or "
    "num_workers), or the scheduler or somebody killed it",
    signal.SIGBUS: "most often shared memory ran out (/dev/shm; lower num_workers), or a disk",
    signal.SIGSEGV: "a fault in compiled code; PYTHONFAULTHANDLER=1 shows where",
    signal.SIGABRT: "compiled code gave up; its last lines above say why",
    signal.SIGTERM: "somebody or the scheduler ended it",
}


def main(arguments: Sequence[str]) -> int:
    """Start the ranks and wait for them.

    Args:
        arguments: number of processes on this node, tool, and the tool's arguments.

    Returns:
        0; the status of the rank that failed first; 128 + N where it was killed by signal N; 2
        where the ranks cannot meet.
    """
    processes, tool, *rest = arguments
    where = meeting(os.environ)
    problem = port_problem(where, os.environ)
    if problem:
        print(problem, file=sys.stderr)
        return 2
    os.environ.setdefault("PET_SIGNALS_TO_HANDLE", "SIGHUP,SIGQUIT")  # the others are ours
    options = [*where, "--nproc_per_node", processes, tool, *rest]
    with tempfile.TemporaryDirectory(prefix="mcltoolkit-ranks-") as folder:
        os.environ[FOLDER] = folder
        for number in FORWARDED:
            signal.signal(number, _forward)
        try:
            run(parse_args(options))
        except ChildFailedError as error:
            text, status = failure_report(error.failures, int(os.environ.get("NNODES", "1")))
            print(text, file=sys.stderr, flush=True)
            return status
        except (DistError, RendezvousError) as error:
            print(_no_meeting(where, error), file=sys.stderr)
            return 2
    return 0


def meeting(environment: Mapping[str, str]) -> list[str]:
    """torchrun's options that say where the processes of all nodes meet."""
    nodes = environment.get("NNODES", "1")
    port = environment.get("PORT") or environment.get("MASTER_PORT")
    if nodes == "1" and not port:
        return ["--standalone"]
    return [
        *("--nnodes", nodes, "--node_rank", environment.get("NODE_RANK", "0")),
        *("--master_addr", environment.get("MASTER_ADDR", "127.0.0.1")),
        *("--master_port", port or DEFAULT_PORT),
    ]


def port_problem(where: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """What to tell where this node should listen on a port that is taken, or no port at all."""
    if "--master_port" not in where:
        return None
    named = where[where.index("--master_port") + 1]
    if not named.isdecimal() or not 0 < int(named) < 65536:
        return f"PORT is {named!r}; allowed are numbers from 1 to 65535 (above 1023 for users)"
    if environment.get("NODE_RANK", "0") != "0":
        return None
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", int(named)))
        except OSError as error:
            return _taken(named, error.strerror)
    return None


def _taken(port: str, reason: str) -> str:
    return (
        f"port {port} of this machine cannot be used ({reason}): another run may have taken it. "
        f"Set PORT to another number, the same on all nodes, such as PORT={_free_port()}; on one "
        f"node leave PORT and MASTER_PORT unset to have a free one picked"
    )


def _no_meeting(where: Sequence[str], error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if "--master_port" in where and "address already in use" in str(error).lower():
        return _taken(where[where.index("--master_port") + 1], "address already in use")
    return (
        f"the processes could not meet ({' '.join(where)}): {lines[0]}\n"
        f"Check that NNODES, MASTER_ADDR and PORT are the same on all nodes, NODE_RANK counts from "
        f"0, and node 0 can be reached under that address"
    )


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("", 0))
        return int(trial.getsockname()[1])


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
    return str(found.get("message", "")), str((found.get("extraInfo") or {}).get("py_callstack", ""))


def _forward(number: int, frame: Any) -> None:
    """Pass a signal on to the ranks, not to their data workers; before there are ranks, end."""
    processes = rank_processes(Path(os.environ[FOLDER]))
    if not processes:
        sys.exit(128 + number)
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
