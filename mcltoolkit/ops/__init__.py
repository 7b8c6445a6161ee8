"""Exact functions that save time or memory, without parameters of their own.

Layers and losses call them through the package (`ops.softmax_match(...)`), so that benchmarks and
tests can put the plain formulas of `benchmarks.plain` in their place.
"""

from mcltoolkit.ops.attention import attention
from mcltoolkit.ops.contextual import contextual_affinity
from mcltoolkit.ops.info_nce import contrast_sums
from mcltoolkit.ops.neighbourhood import neighbourhood_cosines
from mcltoolkit.ops.softmax_match import softmax_cycle, softmax_match
from mcltoolkit.ops.softmax_sum import softmax_sum

__all__ = [
    "attention",
    "contextual_affinity",
    "contrast_sums",
    "neighbourhood_cosines",
    "softmax_cycle",
    "softmax_match",
    "softmax_sum",
]
