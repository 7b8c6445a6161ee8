"""Layers that the networks share: convolution, normalisations, SPADE, attention."""

from mcltoolkit.layers.attention import NonLocalAttention
from mcltoolkit.layers.conv import Conv
from mcltoolkit.layers.conv_norm import ConvNorm
from mcltoolkit.layers.init import init_weights
from mcltoolkit.layers.layout import suited
from mcltoolkit.layers.norm import NORM_KINDS, InstanceNorm, PositionalNorm, build_norm
from mcltoolkit.layers.padding import reflect_pad
from mcltoolkit.layers.sizes import check_divisible
from mcltoolkit.layers.spade import SPADE, SPADEResBlock
from mcltoolkit.layers.spectral import (
    SpectralNorm,
    fold_parametrizations,
    spectral,
    vectors_held,
)
from mcltoolkit.layers.squeeze import SqueezeExcitation
from mcltoolkit.layers.sync_bn import SyncBatchNorm
from mcltoolkit.layers.unit import unit_length
from mcltoolkit.precision import at_least_float32, without_autocast

__all__ = [
    "NORM_KINDS",
    "SPADE",
    "Conv",
    "ConvNorm",
    "InstanceNorm",
    "NonLocalAttention",
    "PositionalNorm",
    "SPADEResBlock",
    "SpectralNorm",
    "SqueezeExcitation",
    "SyncBatchNorm",
    "at_least_float32",
    "build_norm",
    "check_divisible",
    "fold_parametrizations",
    "init_weights",
    "reflect_pad",
    "spectral",
    "suited",
    "unit_length",
    "vectors_held",
    "without_autocast",
]
