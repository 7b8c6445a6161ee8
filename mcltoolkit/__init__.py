"""Exemplar-guided image translation: paint a condition in an exemplar's style.

MCL-Net (Zhan et al., CVPR 2022) and CoCosNet (Zhang et al., CVPR 2020), assembled from configs
out of registered parts that plugins can add to.
"""

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
]
