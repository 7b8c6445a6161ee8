"""Full precision for sums, softmaxes and singular values under automatic mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from mcltoolkit.context import Context

_LOW = (torch.float16, torch.bfloat16)
EPSILON = torch.finfo(torch.float32).eps
"""A vector shorter than this has no direction that float32 could tell."""


def at_least_float32(x: Tensor) -> Tensor:
    """`x`, in float32 if it is half precision; float64 stays as it is."""
    return x.float() if x.dtype in _LOW else x


def full_precision(x: Tensor) -> torch.dtype:
    """The type to compute in: float32, or that of `x` where it is wider."""
    return torch.promote_types(x.dtype, torch.float32)


def without_autocast(x: Tensor | Context) -> AbstractContextManager[None]:
    """A context in which operations on the device of `x` keep the precision of their inputs.

    Where autocast is off there is nothing to do, and an exported graph stays free of contexts.
    """
    kind = x.device.type
    available = torch.amp.is_autocast_available(kind)  # not so for the meta device, for one
    if not available or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def autocast_dtype(x: Tensor) -> torch.dtype:
    """Autocast's type on the device of `x`, where it is switched on and would change `x`; else
    the type that `x` has. For operations that autocast does not know."""
    kind = x.device.type
    if x.dtype == torch.float64 or not torch.amp.is_autocast_available(kind):
        return x.dtype
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
