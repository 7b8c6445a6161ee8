"""Exact functions that save time or memory: what layers, matching and losses compute with.

Each has a plain form of the same name in `benchmarks/plain`, which the tests hold it against.
"""

from mcltoolkit.ops.activations import instance_norm, leaky_relu
from mcltoolkit.ops.modulate import modulate
from mcltoolkit.ops.reflect_pad import reflect_pad
from mcltoolkit.ops.spectral import spectral_conv2d, spectral_weight

__all__ = [
    "instance_norm",
    "leaky_relu",
    "modulate",
    "reflect_pad",
    "spectral_conv2d",
    "spectral_weight",
]
