"""Exact functions that save time or memory: no parameters, the same numbers as the plain formula.

Layers and losses call them through this package, so that benchmarks and tests can put the plain
formula (`benchmarks/plain`) in their place.
"""

from mcltoolkit.ops.activations import instance_norm, leaky_relu
from mcltoolkit.ops.attention import attention
from mcltoolkit.ops.contextual import contextual_affinity
from mcltoolkit.ops.conv import conv2d
from mcltoolkit.ops.info_nce import contrast_sums
from mcltoolkit.ops.modulate import modulate
from mcltoolkit.ops.neighbourhood import (
    neighbourhood_cosines,
    neighbourhood_cycle,
    neighbourhood_match,
)
from mcltoolkit.ops.one_hot import one_hot_avg_pool2d, one_hot_conv2d
from mcltoolkit.ops.reflect_pad import reflect_pad
from mcltoolkit.ops.relu_pad import relu_reflect_pad
from mcltoolkit.ops.softmax_match import softmax_cycle, softmax_match
from mcltoolkit.ops.softmax_sum import softmax_sum
from mcltoolkit.ops.spectral import spectral_conv2d, spectral_weight

__all__ = [
    "attention",
    "contextual_affinity",
    "contrast_sums",
    "conv2d",
    "instance_norm",
    "leaky_relu",
    "modulate",
    "neighbourhood_cosines",
    "neighbourhood_cycle",
    "neighbourhood_match",
    "one_hot_avg_pool2d",
    "one_hot_conv2d",
    "reflect_pad",
    "relu_reflect_pad",
    "softmax_cycle",
    "softmax_match",
    "softmax_sum",
    "spectral_conv2d",
    "spectral_weight",
]
