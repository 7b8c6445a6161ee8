"""A bounded cache of encoded exemplars."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from mcltoolkit.structures import ExemplarSide


class ExemplarCache:
    """The last `limit` exemplar sides that were asked for; several threads may ask.

    Args:
        limit: how many are kept; 0 keeps none. Each takes the memory of its image and features on
            the model's device.
    """

    def __init__(self, limit: int = 16) -> None:
        self.limit = limit
        self._kept: OrderedDict[str, tuple[ExemplarSide, float]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all, such as after the model's weights have been changed."""
        with self._lock:
            self._kept.clear()

    def forget(self, age: float) -> None:
        """Forget those that nobody asked for in the last `age` seconds."""
        now = time.monotonic()
        with self._lock:
            for key, (_, asked) in list(self._kept.items()):
                if now - asked >= age:
                    del self._kept[key]

    def get(self, key: str, make: Callable[[], ExemplarSide]) -> ExemplarSide:
        """The side under `key`, made where it is not kept."""
        with self._lock:
            found = self._kept.get(key)
        # Made outside the lock: it takes long, and two that are made at once are the same.
        side = make() if found is None else found[0]
        if self.limit < 1:
            return side
        with self._lock:
            self._kept[key] = (side, time.monotonic())
            self._kept.move_to_end(key)
            while len(self._kept) > self.limit:
                self._kept.popitem(last=False)
        return side
