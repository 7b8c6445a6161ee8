"""Generators: warped exemplar and condition -> image."""

from mcltoolkit.generators.spade import SPADEGenerator

__all__ = ["SPADEGenerator"]
