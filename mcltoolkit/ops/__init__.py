"""Exact functions that save time or memory, without parameters of their own.

Layers call them through the package (`ops.one_hot_conv2d(...)`), so that benchmarks and tests can
put the plain formulas of `benchmarks.plain` in their place.
"""

from mcltoolkit.ops.activations import instance_norm, leaky_relu
from mcltoolkit.ops.modulate import modulate
from mcltoolkit.ops.one_hot import one_hot_avg_pool2d, one_hot_conv2d
from mcltoolkit.ops.reflect_pad import reflect_pad
from mcltoolkit.ops.spectral import spectral_conv2d, spectral_weight

__all__ = [
    "instance_norm",
    "leaky_relu",
    "modulate",
    "one_hot_avg_pool2d",
    "one_hot_conv2d",
    "reflect_pad",
    "spectral_conv2d",
    "spectral_weight",
]
