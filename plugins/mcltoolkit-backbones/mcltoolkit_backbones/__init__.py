"""Encoders from timm's networks, for mcltoolkit.

`TimmEncoder` takes any timm network that gives feature maps: convolutional networks, hybrids of
convolution and attention, hierarchical and plain vision transformers such as DINO's. A small
decoder brings the maps of chosen layers to the grid on which the correspondence matches.
"""

from mcltoolkit import hookimpl
from mcltoolkit_backbones.decoder import FeatureDecoder
from mcltoolkit_backbones.encoder import TimmEncoder

contract_version = 1

__all__ = ["FeatureDecoder", "TimmEncoder", "register_components"]


@hookimpl
def register_components() -> None:
    """Importing this module has registered everything."""
