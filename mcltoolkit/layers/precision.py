"""Keeping sums, softmaxes and singular values in full precision under automatic mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from mcltoolkit.context import Context

_LOW = (torch.float16, torch.bfloat16)


def at_least_float32(x: Tensor) -> Tensor:
    """`x`, in float32 if it is half precision; float64 stays as it is."""
    return x.float() if x.dtype in _LOW else x


def without_autocast(x: Tensor | Context) -> AbstractContextManager[None]:
    """A context in which operations on the device of `x` keep the precision of their inputs.

    Where autocast is off there is nothing to do, and an exported graph stays free of contexts.
    """
    kind = x.device.type
    available = torch.amp.is_autocast_available(kind)  # not so for the meta device, for one
    if not available or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)
