"""Maps over the image that guide a network: one-hot labels held as ids, and maps in pieces.

A label map of K classes as K one-hot channels takes K values a pixel and is convolved K channels
deep; its ids say the same. `OneHot` holds the ids and becomes dense only where somebody asks.
`Context` is the map that SPADE layers read, of pieces that are dense or `OneHot`, resized once for
all layers of one resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int]
_Class = TypeVar("_Class")
# a convolution over so few channels, joined with the dense ones beside them, costs less than a
# gather (measured on the CPU)
FEW_CHANNELS = 8


class OneHot:
    """A one-hot map (B, K, H, W), held as ids.

    What it was asked to become (dense, resized) is kept; nothing changes the ids.

    Args:
        ids: (B, H, W) int64 in [0, K), or (H, W) of one sample.
        channels: K.
    """

    def __init__(self, ids: Tensor, channels: int) -> None:
        self.ids = ids
        self.channels = channels
        self._dense: dict[torch.dtype, Tensor] = {}
        self._resized: dict[Size, OneHot] = {}

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> torch.Size:
        """(B, K, H, W), as the dense map's."""
        return torch.Size((*self.ids.shape[:-2], self.channels, *self.ids.shape[-2:]))

    @property
    def device(self) -> torch.device:
        """Where the ids are."""
        return self.ids.device

    def dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The map itself, (B, K, H, W)."""
        if dtype not in self._dense:
            empty = self.ids.new_zeros(self.shape, dtype=dtype)
            self._dense[dtype] = empty.scatter_(-3, self.ids.unsqueeze(-3), 1.0)
        return self._dense[dtype]

    def resized(self, size: Size) -> OneHot:
        """Of (h, w), as `F.interpolate(mode='nearest')` resizes the dense map."""
        size = (size[0], size[1])
        if size == self.ids.shape[1:]:
            return self
        if size not in self._resized:
            # as floating point, which holds such numbers exactly: it does not take integers
            ids = F.interpolate(self.ids.unsqueeze(1).double(), size=size, mode="nearest")
            self._resized[size] = OneHot(ids.squeeze(1).long(), self.channels)
        return self._resized[size]

    def map(self, function: Callable[[Tensor], Tensor]) -> OneHot:
        """The same of other ids: `function` of these."""
        return OneHot(function(self.ids), self.channels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> OneHot:
        """A copy on `device`."""
        return self.map(lambda ids: ids.to(device, non_blocking=non_blocking))


class Context:
    """A map (B, C, H, W) given as pieces in channel order, each dense or `OneHot`.

    Args:
        pieces: (B, C_i, H, W) of one size.
    """

    def __init__(self, pieces: Sequence[Tensor | OneHot]) -> None:
        self.pieces = tuple(pieces)
        self._at: dict[tuple[Size, torch.dtype], Context] = {}

    @staticmethod
    def of(given: Tensor | OneHot | Context) -> Context:
        """What is given, as a context."""
        return given if isinstance(given, Context) else Context([given])

    @property
    def shape(self) -> torch.Size:
        """(B, C, H, W)."""
        batch, _, height, width = self.pieces[0].shape
        return torch.Size((batch, sum(p.shape[1] for p in self.pieces), height, width))

    @property
    def simplest(self) -> Tensor | Context:
        """The tensor, where it is one dense piece; else itself."""
        first = self.pieces[0]
        return first if len(self.pieces) == 1 and isinstance(first, Tensor) else self

    @property
    def device(self) -> torch.device:
        """Where the pieces are."""
        return self.pieces[0].device

    def at(self, size: Size, dtype: torch.dtype = torch.float32) -> Context:
        """Resized to (h, w) with nearest and made ready to be convolved; computed once a size.

        Ids of few classes become dense there, and dense neighbours one piece.

        Args:
            size: (h, w).
            dtype: of the ids that become dense.
        """
        key = ((size[0], size[1]), dtype)
        if key not in self._at:
            self._at[key] = Context(_joined([_resized(p, key[0], dtype) for p in self.pieces]))
        return self._at[key]

    def dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The map in one piece."""
        return torch.cat([as_dense(p, dtype) for p in self.pieces], dim=1)


def few(given: Tensor | OneHot) -> bool:
    """Whether a map has so few channels that it is best convolved dense, beside other ones."""
    return given.shape[-3] <= FEW_CHANNELS


def as_dense(given: Tensor | OneHot, dtype: torch.dtype = torch.float32) -> Tensor:
    """The dense map, (B, C, H, W); of `dtype` where it is made of ids."""
    return given.dense(dtype) if isinstance(given, OneHot) else given


def sample_of(given: Tensor | OneHot, index: int) -> Tensor | OneHot:
    """The map (C, H, W) of one sample of a batch."""
    return OneHot(given.ids[index], given.channels) if isinstance(given, OneHot) else given[index]


def cat_samples(maps: Sequence[Tensor | OneHot]) -> Tensor | OneHot:
    """Maps of one size as one batch; ids where all are."""
    ids = [one.ids for one in maps if isinstance(one, OneHot)]
    if len(ids) == len(maps):
        return OneHot(torch.cat(ids), maps[0].shape[-3])
    return torch.cat([as_dense(one) for one in maps])


def dense_views(*names: str) -> Callable[[type[_Class]], type[_Class]]:
    """A decorator for a dataclass whose fields `names` may be given as `OneHot`: they read dense.

    What a field was given is found by `given`.
    """

    def decorate(kind: type[_Class]) -> type[_Class]:
        for name in names:
            setattr(kind, name, _DenseView(name))
        return kind

    return decorate


def given(owner: Any, name: str) -> Any:
    """The field `name` of a dataclass with `dense_views` as it was given."""
    return vars(owner)[name]


class _DenseView:
    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        held = None if owner is None else vars(owner)[self.name]
        return None if held is None else as_dense(held)

    def __set__(self, owner: Any, value: Tensor | OneHot | None) -> None:
        vars(owner)[self.name] = value


def takes_context(part: nn.Module | type, method: str = "forward") -> bool:
    """Whether a component takes label maps as `OneHot` in the place of dense maps.

    Its class says so by `takes_context = True`. A subclass that has a `method` of its own says it
    anew: what its parent can take does not tell what it can.
    """
    kind = part if isinstance(part, type) else type(part)
    for owner in kind.__mro__:
        if "takes_context" in vars(owner):
            return bool(vars(owner)["takes_context"])
        if method in vars(owner):
            return False
    return False


def for_part(part: nn.Module, given: Tensor | OneHot, method: str = "forward") -> Tensor | OneHot:
    """A condition as `part` takes it: as it is, or dense."""
    return given if takes_context(part, method) else as_dense(given)


def _resized(piece: Tensor | OneHot, size: Size, dtype: torch.dtype) -> Tensor | OneHot:
    if isinstance(piece, OneHot):
        small = piece.resized(size)
        return small.dense(dtype) if few(piece) else small
    if piece.shape[-2:] == size:
        return piece
    return F.interpolate(piece, size=size, mode="nearest")


def _joined(pieces: Sequence[Tensor | OneHot]) -> list[Tensor | OneHot]:
    joined: list[Tensor | OneHot] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, Tensor) and isinstance(last, Tensor):
            joined[-1] = torch.cat([last, piece], dim=1)
        else:
            joined.append(piece)
    return joined
