"""How a rank ends: with the cause told once, and without waiting for ranks that are gone."""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from mcltoolkit.errors import OtherRankError, ToolkitError

FOLDER = "MCLTOOLKIT_RANKS"  # set by the launcher: a file for each rank's process number
USERS_MISTAKE, OUR_MISTAKE, LOST_CONTACT = 2, 1, 76
# long enough that whoever watches the ranks sees first the rank that was first
LET_THE_FIRST_BE_SEEN = 3.0
SIGNS_OF_LOST_CONTACT = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Socket closed",
    "gloo/transport",
    "Timed out waiting",
    "remote process exited",
    "communicator was aborted",
)


def announce_rank() -> None:
    """Tell the launcher, if there is one, the process that signals are for."""
    if FOLDER in os.environ and "RANK" in os.environ:
        Path(os.environ[FOLDER], os.environ["RANK"]).write_text(str(os.getpid()))


def rank_processes(folder: Path) -> list[int]:
    """Process numbers of the ranks that have announced themselves."""
    texts = [file.read_text() for file in folder.iterdir()]
    return [int(text) for text in texts if text]  # one may be empty: being written


def leave_group() -> None:
    """Leave the process group, its threads with it.

    What still refers to the group (the reducer of a wrapped model in a cycle with its runner) would
    keep gloo's threads beyond the interpreter's end, which aborts the process.
    """
    if dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()


def end_with(error: Exception) -> NoReturn:
    """End the process because of `error`, in a way that the other ranks' end soon follows.

    Status 2 for a `ToolkitError`, 76 where another rank has gone, else 1. Under the launcher the
    error is left for it to tell; elsewhere it is told here. A single process raises errors that
    are not the toolkit's.
    """
    several = dist.is_initialized() and dist.get_world_size() > 1
    told_by_launcher = FOLDER in os.environ
    if isinstance(error, ToolkitError) and not lost_contact(error):
        status, text = USERS_MISTAKE, f"{type(error).__name__}: {error}"
    elif several and lost_contact(error):
        status = LOST_CONTACT
        first = str(error).strip().splitlines()[0]
        print(f"rank {dist.get_rank()} lost contact with the other ranks: {first}", file=sys.stderr)
        told_by_launcher = True
        time.sleep(LET_THE_FIRST_BE_SEEN)
    elif several or told_by_launcher:
        status, text = OUR_MISTAKE, "".join(traceback.format_exception(error))
    else:
        raise error
    if FOLDER in os.environ:
        get_error_handler().record_exception(error)
    if not told_by_launcher:
        print(f"rank {dist.get_rank()}: {text}" if several else text, file=sys.stderr)
    if not several:
        sys.exit(status)
    # The ordinary way out would wait for the group, whose other ranks may wait for this one.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def lost_contact(error: BaseException) -> bool:
    """Whether `error`, or what it was raised from, says that another rank is gone."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OtherRankError):
            return True
        if isinstance(found, RuntimeError) and any(s in str(found) for s in SIGNS_OF_LOST_CONTACT):
            return True
        found = found.__cause__
    return False
