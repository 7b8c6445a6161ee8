"""CPU processes in one process group (gloo), kept for as long as the tests run.

Starting Python and torch anew for each distributed test would take longer than all other tests
together: one server process imports them, and the ranks are its forks.
"""

from __future__ import annotations

import atexit
import os
import pickle
import tempfile
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mcltoolkit.plugins import ENV_MODULES, load_plugins

PATIENCE = 900.0
PRELOAD = ("mcltoolkit.testing", "mcltoolkit.engine")


class Ranks:
    """The processes; `run` calls a function in all of them at once.

    Args:
        count: number of ranks.
    """

    def __init__(self, count: int = 2) -> None:
        context = mp.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOAD))
        self._folder = tempfile.TemporaryDirectory(prefix="mcltoolkit-ranks-")
        meeting = Path(self._folder.name, "meeting").as_uri()
        self._pipes: list[Connection] = []
        self._processes = []
        for rank in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(rank, count, meeting, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def run(
        self, function: Callable[..., Any], *arguments: Any, plugins: Sequence[str] = ()
    ) -> list[Any]:
        """Results of `function(*arguments)` by rank.

        Args:
            function: importable by its name; it may use `torch.distributed`.
            plugins: modules to load first, beside the installed plugins.

        Raises:
            RuntimeError: a rank raised, or did not answer within minutes; with its traceback.
        """
        named = [name for name in os.environ.get(ENV_MODULES, "").split(",") if name]
        for pipe in self._pipes:
            pipe.send((function, arguments, [*named, *plugins]))
        answers = []
        for rank, pipe in enumerate(self._pipes):
            try:
                if not pipe.poll(PATIENCE):
                    raise EOFError(f"no answer within {PATIENCE:.0f} s")
                answers.append(pickle.loads(pipe.recv_bytes()))
            except (EOFError, ConnectionError) as error:
                self.close()
                failed = "".join(text for ok, text in answers if not ok)
                raise RuntimeError(f"rank {rank} is gone ({error}); {failed}") from error
        failures = [f"rank {rank}: {text}" for rank, (ok, text) in enumerate(answers) if not ok]
        if failures:
            self.close()  # the other rank may wait for a partner that has left
            raise RuntimeError("\n".join(failures))
        return [result for _, result in answers]

    def close(self) -> None:
        """End the processes."""
        for count in [count for count, kept in _ranks.items() if kept is self]:
            del _ranks[count]
        for process in self._processes:
            process.terminate()
            process.join(timeout=10)
        for pipe in self._pipes:
            pipe.close()
        self._folder.cleanup()


_ranks: dict[int, Ranks] = {}


def ranks(count: int = 2) -> Ranks:
    """That many processes, started at the first call."""
    if count not in _ranks:
        _ranks[count] = Ranks(count)
        atexit.register(_ranks[count].close)
    return _ranks[count]


def _serve(rank: int, count: int, meeting: str, pipe: Connection) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    while True:
        try:
            function, arguments, plugins = pipe.recv()
        except EOFError:
            return
        try:
            load_plugins(plugins)
            answer = True, function(*arguments)
        except Exception:
            answer = False, traceback.format_exc()
        # by value: a pipe's own pickling passes tensors as open files, which are limited
        pipe.send_bytes(pickle.dumps(answer))
