"""Memory that was freed, back to the system."""

from __future__ import annotations

import ctypes
import sys

import torch

# what is kept below this is not worth having to be cleared again
WORTH = 160 * 2**20


class _Counts(ctypes.Structure):
    """glibc's `mallinfo2`, of its main arena."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    )  # fmt: skip


_malloc_trim = _mallinfo = None
if sys.platform == "linux":  # of glibc (mallinfo2 from 2.33 on); other C libraries have none
    _malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    _mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if _mallinfo is not None:
        _mallinfo.restype = _Counts


def give_back(device: torch.device) -> None:
    """Have the C library return what it keeps of freed memory, where `device` is the CPU and it is
    much: pieces of up to 32 MB, which at full size add up to some 0.2 GB. Call it before memory
    gets short."""
    if device.type != "cpu" or _malloc_trim is None:
        return
    if _mallinfo is None or _mallinfo().fordblks >= WORTH:
        _malloc_trim(0)
