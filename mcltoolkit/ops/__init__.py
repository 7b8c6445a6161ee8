"""Exact functions that save time or memory, without parameters of their own.

Layers call them through the package (`ops.one_hot_conv2d(...)`), so that benchmarks and tests can
put the plain formulas of `benchmarks.plain` in their place.
"""

from mcltoolkit.ops.one_hot import one_hot_avg_pool2d, one_hot_conv2d
from mcltoolkit.ops.relu_pad import relu_reflect_pad

__all__ = ["one_hot_avg_pool2d", "one_hot_conv2d", "relu_reflect_pad"]
