"""torchrun with the cause of a failure on the first lines.

    python -m mcltoolkit.launcher PROCESSES TOOL [ARGUMENTS of the tool]

is what tools/dist_train.sh and tools/dist_test.sh call. NNODES, NODE_RANK, MASTER_ADDR and PORT (or
MASTER_PORT) of the environment say where the processes meet; one node without PORT takes a free
port. SIGTERM, SIGINT and SIGUSR1 are passed on to the ranks, which decide what they do; the
launcher waits for them and ends with their status.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.run import parse_args, run

from mcltoolkit.launcher.ending import FOLDER, rank_processes
from mcltoolkit.launcher.meeting import meeting, no_meeting, port_problem
from mcltoolkit.launcher.report import failure_report

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


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
    _silence_torchrun()
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
            print(no_meeting(where, error), file=sys.stderr)
            return 2
    return 0


def _silence_torchrun() -> None:
    """Its lines would come before the cause; LOGLEVEL=INFO keeps them."""
    if "LOGLEVEL" not in os.environ:
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("torch.distributed.elastic"):
                logging.getLogger(name).setLevel(logging.CRITICAL)


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
