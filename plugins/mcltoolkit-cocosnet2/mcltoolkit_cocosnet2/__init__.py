"""Correspondence at full resolution for mcltoolkit: dense on a coarse grid, PatchMatch above it.

CoCosNet v2 (Zhou et al., "Full-Resolution Correspondence Learning for Image Translation", CVPR
2021). Registers `HierarchicalCorrespondence`, `LevelWarpLoss`, `LevelMaskLoss` and
`StridedEncoder`.
"""

from mcltoolkit.hookspecs import hookimpl

contract_version = 1


@hookimpl
def register_components() -> None:
    """Import the modules whose classes carry `register_module`."""
    from mcltoolkit_cocosnet2 import (  # noqa: F401
        hierarchy,
        level_mask,
        level_warp,
        strided,
    )
