"""Memory that was freed, back to the system."""

from __future__ import annotations

import ctypes
import sys

import torch

_malloc_trim = None
if sys.platform == "linux":  # of glibc; other C libraries have none
    _malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back(device: torch.device) -> None:
    """Have the C library return what it keeps of freed memory, where `device` is the CPU: pieces of
    up to 32 MB, which at full size add up to some 0.2 GB. Call it before memory gets short."""
    if device.type == "cpu" and _malloc_trim is not None:
        _malloc_trim(0)
