"""A data set that is safe to train on for weeks: errors name the sample, bad ones may be replaced.

Between a data set and torch's loader: the wrapper reads samples, the collate function around the
loader's own packs what happened with the batch, and `loader.WatchedLoader` unpacks it in the main
process. An error therefore crosses from a worker as the toolkit's own, message and type intact.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info
from torch.utils.data._utils.pin_memory import pin_memory

from mcltoolkit.data.draws import Draw
from mcltoolkit.data.error_policy import ErrorPolicy, Incident
from mcltoolkit.data.records import few
from mcltoolkit.data.seeded_state import seeded_state
from mcltoolkit.errors import DataError, ToolkitError, described

TRIES = 10
_STREAM = 0x736B6970
IDLE = -1


class WorkerTracebackError(Exception):
    """Where an error arose, as text: the cause of the error that the main process raises."""


@dataclass(frozen=True)
class Failure:
    """An error on its way from a worker."""

    kind: type[ToolkitError]
    message: str
    trace: str

    @classmethod
    def of(cls, error: ToolkitError) -> Failure:
        """From an error that is being handled."""
        return cls(type(error), str(error), traceback.format_exc())

    def throw(self) -> None:
        """Raise it."""
        try:
            error = self.kind(self.message)
        except Exception:  # a plugin's own class may want more than a message
            error = DataError(self.message)
        raise error from WorkerTracebackError(f"\n{self.trace}")


@dataclass(frozen=True)
class Fetched:
    """The samples of one batch, and what happened while they were read."""

    samples: list[Any]
    incidents: list[Incident] = field(default_factory=list)
    failure: Failure | None = None


@dataclass(frozen=True)
class Delivery:
    """A batch, and what happened while it was made; there is no batch after a failure."""

    batch: Any
    incidents: list[Incident]
    failure: Failure | None = None

    def pin_memory(self) -> Delivery:
        """With its batch in page-locked memory; torch's DataLoader calls this."""
        return replace(self, batch=pin_memory(self.batch))


class GuardedDataset(Dataset[Any]):
    """A data set whose errors all name the sample, with the policy of `on_error`.

    A sample is replaced by one drawn from (seed, index, draw number), so that every rank keeps its
    number of steps and a resumed training sees what an uninterrupted one would have.

    For each `Draw` the process's random generators are seeded, see `seeded_state`; a plain index
    leaves them alone. What is not found here is the data set's own.

    Args:
        dataset: what is wrapped, with `__getitem__` and `__len__`; its `files(index)`, if it has
            one, tells paths for messages.
        policy: see `ErrorPolicy`.
        seed: of substitutes and generators.
        workers: of the loader; each notes here which sample it is reading.
    """

    def __init__(
        self, dataset: Any, policy: ErrorPolicy | None = None, seed: int = 0, workers: int = 0
    ) -> None:
        self.dataset = dataset
        self.policy = policy or ErrorPolicy()
        self.seed = seed
        # process id and index, in memory that outlives a killed worker
        self.reading = torch.full((max(workers, 1), 2), IDLE, dtype=torch.int64).share_memory_()

    def __getattr__(self, name: str) -> Any:
        if name == "dataset" or name.startswith("__"):  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int | Draw) -> Any:
        """The sample.

        Raises:
            ToolkitError: as the data set raised it.
            DataError: the data set raised anything else; the message names sample and data set.
        """
        index = item.index if isinstance(item, Draw) else int(item)
        worker = get_worker_info()
        if worker is not None:
            self.reading[worker.id] = torch.tensor((os.getpid(), index))
        try:
            if not isinstance(item, Draw):
                return self.dataset[item]
            entropy = (self.seed, item.index, item.number + 1)
            with seeded_state(*entropy, restore=worker is None):
                return self.dataset[item]
        except ToolkitError:
            raise
        except Exception as error:
            raise DataError(
                f"{self.describe(index)} cannot be read: {described(error)}; correct the file or "
                f"the data set's code, or set on_error='skip' in the training's data loader"
            ) from error
        finally:
            if worker is not None:
                self.reading[worker.id, 1] = IDLE

    def __getitems__(self, items: Sequence[int | Draw]) -> Fetched:
        """The samples of one batch; torch's loader asks for them so."""
        samples: list[Any] = []
        incidents: list[Incident] = []
        try:
            for item in items:
                samples.append(self._sample(item, incidents))
        except ToolkitError as error:
            return Fetched(samples, incidents, Failure.of(error))
        return Fetched(samples, incidents)

    def describe(self, index: int) -> str:
        """A sample for messages: its number, its data set, its files."""
        text = f"sample {index} of {type(self.dataset).__name__}"
        try:
            files = [str(file) for file in self.dataset.files(index)]
        except Exception:  # it has none to tell
            return text
        return f"{text} ({few(files)})"

    def _sample(self, item: int | Draw, incidents: list[Incident]) -> Any:
        wanted, failed = item, []
        for attempt in range(TRIES):
            try:
                return self[wanted]
            except DataError as error:
                if not self.policy.skips or len(self) < 2:
                    raise
                index = wanted.index if isinstance(wanted, Draw) else int(wanted)
                wanted = self._substitute(item, attempt)
                found = Incident(index, self.describe(index), str(error), int(wanted.__index__()))
                incidents.append(found)
                failed.append(found.sample)
        raise DataError(
            f"{TRIES} samples in a row cannot be read, the last because of: {incidents[-1].reason}"
            f"\nAll of them: {'; '.join(failed)}\nRepair the data set: this is more than a file."
        )

    def _substitute(self, item: int | Draw, attempt: int) -> int | Draw:
        """Another sample than the one asked for."""
        index, number = (item.index, item.number) if isinstance(item, Draw) else (int(item), -1)
        rng = np.random.default_rng([_STREAM, self.seed, index % len(self), number + 1, attempt])
        other = (index + 1 + int(rng.integers(len(self) - 1))) % len(self)
        return Draw(other, number) if isinstance(item, Draw) else other


def first_samples(dataset: Any, count: int) -> list[Any]:
    """The first samples of a data set, or as many as it has; what its policy skips is replaced.

    Raises:
        ToolkitError: one cannot be read, and the policy is to stop.
    """
    wanted = range(min(count, len(dataset)))
    if not isinstance(dataset, GuardedDataset):
        return [dataset[index] for index in wanted]
    fetched = dataset.__getitems__(wanted)
    if fetched.failure is not None:
        fetched.failure.throw()
    return fetched.samples


@dataclass(frozen=True)
class GuardedCollate:
    """A loader's collate function that passes on what happened.

    Args:
        collate: makes a batch of samples.
    """

    collate: Callable[[list[Any]], Any]

    def __call__(self, fetched: Any) -> Any:
        """A `Delivery` of what `GuardedDataset` fetched; anything else as `collate` gives it."""
        if not isinstance(fetched, Fetched):
            return self.collate(fetched)
        if fetched.failure is not None:
            return Delivery(None, fetched.incidents, fetched.failure)
        try:
            return Delivery(self.collate(fetched.samples), fetched.incidents)
        except ToolkitError as error:
            return Delivery(None, fetched.incidents, Failure.of(error))
        except Exception as error:
            kinds = sorted({type(sample).__name__ for sample in fetched.samples})
            wrapped = DataError(
                f"samples of the type {', '.join(kinds)} cannot be made a batch: "
                f"{described(error)}; let the data set return mcltoolkit's Sample, or "
                f"set the loader's collate_fn"
            )
            return Delivery(None, fetched.incidents, Failure.of(wrapped))
