"""Baselines for comparison: translation without a correspondence, and without an exemplar.

SPADE (Park et al., CVPR 2019) with its style encoder as an option, pix2pixHD (Wang et al., CVPR
2018), and what they need beside: a correspondence that matches nothing, a KL term for the style,
and a reconstruction term that takes every sample's own truth for the target.
"""

from __future__ import annotations

from mcltoolkit import hookimpl

contract_version = 1
__version__ = "0.1.0"


@hookimpl
def register_components() -> None:
    """Import the modules whose classes carry `register_module`."""
    import mcltoolkit_baselines.identity
    import mcltoolkit_baselines.pix2pixhd
    import mcltoolkit_baselines.reconstruction
    import mcltoolkit_baselines.spade_image
    import mcltoolkit_baselines.style_kl  # noqa: F401
