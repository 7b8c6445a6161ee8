"""The next batch is checked and copied to the device while a step computes.

One batch is read ahead, on CUDA in a stream of its own; samples, their order, random numbers and
what an interrupted training goes on with are the same with and without. An error of the batch that
was read ahead waits for its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from mcltoolkit.errors import ConfigError, ToolkitError
from mcltoolkit.structures import Batch

Place = TypeVar("Place")


def wants_prefetch(setting: Any, device: torch.device) -> bool:
    """What `train_cfg.prefetch` means: True, False, or None for where a copy takes time.

    Raises:
        ConfigError: another value.
    """
    if setting not in (None, True, False):
        raise ConfigError(
            f"train_cfg.prefetch is {setting!r}; allowed are True, False, and None, which "
            f"prefetches on CUDA"
        )
    return device.type == "cuda" if setting is None else bool(setting)


class Prefetcher(Generic[Place]):
    """An iterator over (batch, place) that is one batch ahead of who takes them.

    Args:
        source: the pairs; it is asked for the second when the first is taken.
        preprocessor: of the model; it gets each batch one step early, and has it ready when the
            model asks for it.
    """

    def __init__(self, source: Iterator[tuple[Batch, Place]], preprocessor: Any) -> None:
        self._source = source
        self._preprocessor = preprocessor
        self._waiting: Callable[[], tuple[Batch, Place]] | None = None
        cuda = preprocessor.device.type == "cuda"
        self._stream = torch.cuda.Stream(preprocessor.device) if cuda else None

    def __iter__(self) -> Prefetcher[Place]:
        return self

    def __next__(self) -> tuple[Batch, Place]:
        waiting, self._waiting = self._waiting or self._pull(), None
        current = waiting()
        self._waiting = self._pull()
        return current

    def _pull(self) -> Callable[[], tuple[Batch, Place]]:
        try:
            pair = next(self._source)
        except Exception as error:
            return _raises(error)
        batch = pair[0]
        try:
            with torch.cuda.stream(self._stream) if self._stream is not None else nullcontext():
                prepared = self._preprocessor(batch, True)
        except ToolkitError:
            return lambda: pair  # the model finds out when it is its turn
        self._preprocessor.ahead = [*self._preprocessor.ahead[-1:], (batch, self._ready(prepared))]
        return lambda: pair

    def _ready(self, prepared: Batch) -> Callable[[], Batch]:
        stream = self._stream
        if stream is None:
            return lambda: prepared

        def ready() -> Batch:
            current = torch.cuda.current_stream(stream.device)
            current.wait_stream(stream)

            def used(value: Tensor) -> Tensor:
                value.record_stream(current)  # its memory is not to be given away before
                return value

            return prepared.map_tensors(used)

        return ready


def _raises(error: Exception) -> Callable[[], Any]:
    def give() -> Any:
        raise error

    return give
