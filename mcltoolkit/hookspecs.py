"""The pluggy contract between the toolkit and its plugins.

A plugin is a module or object with functions marked `@hookimpl`. It is found through the
entry-point group `mcltoolkit.plugins`, or named in a config's `plugins=[...]`.

It may state the contract it was written for in an attribute `contract_version`; one that states
none is taken to be made for version 1. A plugin made for another version is reported and left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from mcltoolkit.registry import Registry

PROJECT = "mcltoolkit"
ENTRY_POINT_GROUP = "mcltoolkit.plugins"
CONTRACT_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_components(registries: Mapping[str, Registry]) -> None:
    """Register the plugin's components.

    Called once in every process, before the first component is looked up. Importing a module
    whose classes carry `@LOSSES.register_module()` is enough; so is
    `registries["losses"].register_module(module=MyLoss)`.

    Args:
        registries: every registry by its kind: `encoders`, `correspondences`, `generators`,
            `discriminators`, `losses`, `models`, `datasets`, `transforms`, `metrics`, `hooks`,
            `visualizers`, ... (`mcltoolkit.registry.REGISTRIES` lists them).
    """
