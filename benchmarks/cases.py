"""What is measured: names, sizes and how each is made.

A case makes its inputs and returns the work, a function without arguments: one forward and, where
training is meant, one backward pass. The work reaches the toolkit by its public modules, so that
it is measured as layers use it, whatever ops stand behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.plain import substituted

Work = Callable[[], Any]


@dataclass(frozen=True)
class Place:
    """Where a case runs.

    Attributes:
        device: `cpu`, `cuda` ...
        dtype: `float32`, or a half precision, in which autocast then runs.
    """

    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        name: `part/setting`, unique.
        group: `parts`, `whole` (full-size models) or `scaling` (a narrow model).
        series: the curve it belongs to, and its place there (such as `grid`, 64); None: no curve.
        make: from the place, the work.
        operations: of the plain formulation, multiplications and additions counted apart; None
            where they are not known.
        quick: among those of `--quick`.
        plain_gb: about what the plain form holds; a machine with less memory leaves it out.
        fast_gb: the same for the toolkit's form.
        plainly: the context in which the work is done plain.
    """

    name: str
    group: str
    make: Callable[[Place], Work]
    series: tuple[str, str, int] | None = None
    operations: float | None = None
    quick: bool = False
    plain_gb: float = 0.0
    fast_gb: float = 0.0
    plainly: Callable[[], AbstractContextManager[Any]] = substituted
    setting: Mapping[str, Any] = field(default_factory=dict)


def all_cases() -> dict[str, Case]:
    """Every case by its name, in the order of running."""
    from benchmarks import parts, whole

    cases = [*parts.cases(), *whole.cases()]
    found = {case.name: case for case in cases}
    if len(found) < len(cases):
        raise RuntimeError("two cases have one name")
    return found
