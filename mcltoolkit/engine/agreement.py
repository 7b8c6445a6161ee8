"""What ranks must decide alike: to stop, to skip a step, that a file was written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from mcltoolkit.layers.ranks import several_ranks

patience: float | None = None  # seconds that ranks wait for each other; torch's own where None
_groups: dict[object, dist.ProcessGroup] = {}


def any_rank(*flags: bool) -> tuple[bool, ...]:
    """Each flag as it is once one rank has raised it; every rank must call at the same point.

    The exchange runs over the CPU, so that an accelerator's queue is not waited for. Without a
    process group the flags are returned as they are.
    """
    if not several_ranks():
        return flags
    raised = torch.tensor(flags, dtype=torch.int32)
    dist.all_reduce(raised, op=dist.ReduceOp.MAX, group=cpu_group())
    return tuple(bool(value) for value in raised.tolist())


def same_on_all_ranks(number: int) -> bool:
    """Whether all ranks call with the same number, which every rank must do at the same point."""
    if not several_ranks():
        return True
    ends = torch.tensor([number, -number])
    dist.all_reduce(ends, op=dist.ReduceOp.MAX, group=cpu_group())
    largest, negated_smallest = ends.tolist()
    return bool(largest == -negated_smallest)


def of_all_ranks(value: Any) -> list[Any]:
    """What each rank calls with, by rank, on all of them; every rank must call at the same point.

    Args:
        value: anything that can be pickled.
    """
    if not several_ranks():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=cpu_group())
    return values


def cpu_group() -> dist.ProcessGroup:
    """All ranks over gloo; made at the first call, which every rank must take part in."""
    default = dist.group.WORLD
    assert default is not None
    if dist.get_backend() == "gloo":
        return default
    if default not in _groups:
        _groups.clear()  # of a process group that was taken down
        limit = None if patience is None else timedelta(seconds=patience)
        made = dist.new_group(backend="gloo", timeout=limit)
        assert isinstance(made, dist.ProcessGroup)
        _groups[default] = made
    return _groups[default]
