"""Exemplar-guided image translation: paint a condition in an exemplar's style.

MCL-Net (Zhan et al., CVPR 2022) and CoCosNet (Zhang et al., CVPR 2020), assembled from configs
out of registered parts that plugins can add to.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mcltoolkit.hookspecs import hookimpl
from mcltoolkit.registry import (
    CORRESPONDENCES,
    DATASETS,
    DISCRIMINATORS,
    ENCODERS,
    GENERATORS,
    HOOKS,
    LOSSES,
    METRICS,
    MODELS,
    TRANSFORMS,
)

if TYPE_CHECKING:
    from mcltoolkit.inference import load_model, translate

__version__ = "0.1.0"

__all__ = [
    "CORRESPONDENCES",
    "DATASETS",
    "DISCRIMINATORS",
    "ENCODERS",
    "GENERATORS",
    "HOOKS",
    "LOSSES",
    "METRICS",
    "MODELS",
    "TRANSFORMS",
    "__version__",
    "hookimpl",
    "load_model",
    "translate",
]

_INFERENCE = ("load_model", "translate")


def __getattr__(name: str) -> Any:
    """`load_model` and `translate` of `mcltoolkit.inference`, which is imported when asked for."""
    if name in _INFERENCE:
        return getattr(importlib.import_module("mcltoolkit.inference"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
