"""Contrastive losses for mcltoolkit: PatchNCE, MoNCE, and other margins than the additive angular.

All are drop-in losses of a config's `model.losses`; see the package's README.
"""

from __future__ import annotations

from mcltoolkit import hookimpl

contract_version = 1


@hookimpl
def register_components() -> None:
    """Register the losses, by importing their modules."""
    from mcltoolkit_contrast import margins, modulated, patch_nce  # noqa: F401
