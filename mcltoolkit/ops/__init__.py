"""Exact functions that save time or memory: no parameters, the same numbers as the plain formula.

Layers and losses call them through this package, so that benchmarks and tests can put the plain
formula (`benchmarks/plain`) in their place.
"""

from mcltoolkit.ops.neighbourhood import neighbourhood_cosines
from mcltoolkit.ops.one_hot import one_hot_avg_pool2d, one_hot_conv2d
from mcltoolkit.ops.softmax_match import match_logits, softmax_cycle, softmax_match
from mcltoolkit.ops.softmax_sum import softmax_sum

__all__ = [
    "match_logits",
    "neighbourhood_cosines",
    "one_hot_avg_pool2d",
    "one_hot_conv2d",
    "softmax_cycle",
    "softmax_match",
    "softmax_sum",
]
