"""Logged values stay on the device until somebody reads them.

mmengine's MessageHub reads each loss of each step as it is logged, which stalls an accelerator a
dozen times a step, and copies the whole history of each for every value.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch import Tensor

PENDING = 1 << 14
"""Values that wait at most, some hundreds of steps' worth."""
_OWN = 512  # bytes: a larger storage is more than the scalar itself


class DeferredMessageHub(MessageHub):
    """A MessageHub that takes scalars in when they are read: by the log at its interval, by a
    checkpoint, by whoever else asks. Values and their order are the same.
    """

    def __init__(
        self,
        name: str,
        log_scalars: dict | None = None,
        runtime_info: dict | None = None,
        resumed_keys: dict | None = None,
    ) -> None:
        self._pending: list[tuple[str, Any, int]] = []
        super().__init__(name, log_scalars, runtime_info, resumed_keys)

    def update_scalar(self, key: str, value: Any, count: int = 1, resumed: bool = True) -> None:
        """Log a number, which may be a tensor on any device.

        Args:
            key: such as `train/loss`.
            value: one number.
            count: how many it is the sum of.
            resumed: a checkpoint keeps its history.
        """
        self._set_resumed_keys(key, resumed)
        assert isinstance(count, int), f"the count of {key} is {count!r}, no int"
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.detach()
            held = value.untyped_storage().nbytes() > _OWN
            value = value.clone() if held else value
        else:
            value = self._get_valid_value(value)
        self._pending.append((key, value, count))
        if len(self._pending) >= PENDING:
            self.settle()

    def settle(self, only: str | None = None) -> None:
        """Take in what waits, or of it one history: one read from each device."""
        pending = [entry for entry in self._pending if only in (None, entry[0])]
        if not pending:
            return
        self._pending = [entry for entry in self._pending if only not in (None, entry[0])]
        found: OrderedDict[str, tuple[list[Any], list[int]]] = OrderedDict()
        values = _read([value for _, value, _ in pending])
        for (key, _, count), value in zip(pending, values, strict=True):
            history, counts = found.setdefault(key, ([], []))
            history.append(value)
            counts.append(count)
        for key, (history, counts) in found.items():
            known = self._log_scalars.get(key)
            if known is None:
                self._log_scalars[key] = HistoryBuffer(history, counts)
                continue
            length = known.max_length
            known._log_history = np.append(known._log_history, history)[-length:]
            known._count_history = np.append(known._count_history, counts)[-length:]

    @property
    def log_scalars(self) -> OrderedDict:
        """The histories by key, complete."""
        self.settle()
        return super().log_scalars

    def get_scalar(self, key: str) -> HistoryBuffer:
        """The history of one key; mmengine's timer asks for its own at each step.

        Raises:
            KeyError: nothing was logged under it.
        """
        self.settle(key)
        if key not in self._log_scalars:
            raise KeyError(f"nothing is logged as {key!r}; there are {list(self._log_scalars)}")
        return self._log_scalars[key]

    def state_dict(self) -> dict:
        """See `MessageHub`; with all that was logged."""
        self.settle()
        return super().state_dict()


# mmengine's own parts ask `MessageHub` for the newest hub
DeferredMessageHub._instance_dict = MessageHub._instance_dict


def _read(values: list[Any]) -> list[Any]:
    """Numbers, in the order given; those of one device and type in one read."""
    places: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for place, value in enumerate(values):
        if isinstance(value, Tensor):
            places.setdefault((value.device, value.dtype), []).append(place)
    found = list(values)
    for several in places.values():
        read = torch.stack([values[place].reshape(()) for place in several]).tolist()
        for place, number in zip(several, read, strict=True):
            found[place] = number
    return found
