"""A bounded cache of encoded exemplars."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from mcltoolkit.structures import ExemplarSide


class ExemplarCache:
    """The last `limit` exemplar sides that were asked for.

    Args:
        limit: how many are kept; 0 keeps none. Each takes the memory of its image and features on
            the model's device.
    """

    def __init__(self, limit: int = 16) -> None:
        self.limit = limit
        self._kept: OrderedDict[str, ExemplarSide] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all, such as after the model's weights have been changed."""
        self._kept.clear()

    def get(self, key: str, make: Callable[[], ExemplarSide]) -> ExemplarSide:
        """The side under `key`, made where it is not kept."""
        if key not in self._kept:
            side = make()
            if self.limit < 1:
                return side
            self._kept[key] = side
        self._kept.move_to_end(key)
        while len(self._kept) > max(self.limit, 1):
            self._kept.popitem(last=False)
        return self._kept[key]
