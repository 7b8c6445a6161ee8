"""Encoders: condition or image -> feature map that the correspondence compares."""

from mcltoolkit.encoders.domain import DomainEncoder

__all__ = ["DomainEncoder"]
