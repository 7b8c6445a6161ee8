"""Discriminators: condition and image -> scores and layer outputs."""

from mcltoolkit.discriminators.multi_scale import MultiScaleDiscriminator, PatchDiscriminator

__all__ = ["MultiScaleDiscriminator", "PatchDiscriminator"]
