"""Exact functions that save time or memory: what layers, matching and losses compute with.

Each has a plain form of the same name in `benchmarks/plain`, which the tests hold it against.
"""

from mcltoolkit.ops.modulate import modulate

__all__ = ["modulate"]
