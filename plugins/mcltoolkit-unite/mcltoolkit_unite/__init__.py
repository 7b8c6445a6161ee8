"""Unbalanced optimal transport as the correspondence of mcltoolkit.

UNITE: Zhan et al., "Unbalanced Feature Transport for Exemplar-based Image Translation", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcltoolkit import hookimpl

contract_version = 1


@hookimpl
def register_components(registries: Mapping[str, Any]) -> None:
    """Register `TransportCorrespondence`."""
    from mcltoolkit_unite import correspondence  # noqa: F401
