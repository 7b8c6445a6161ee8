"""Exact functions that save time or memory: no parameters, the same numbers as the plain formula.

Layers and losses call them through this package, so that benchmarks and tests can put the plain
formula (`benchmarks/plain`) in their place.
"""

from mcltoolkit.ops.softmax_match import match_logits, softmax_cycle, softmax_match

__all__ = ["match_logits", "softmax_cycle", "softmax_match"]
