"""A whole model done plain: its ops, and the ways of working that are no single ops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.plain import substituted


@contextmanager
def plain_model() -> Iterator[None]:
    """Inside, models compute plainly."""
    with substituted():
        yield
