"""Between images and the correspondence grid: pooling, patches and upsampling.

CoCosNet (Zhang et al., CVPR 2020) warps either the average-pooled exemplar, upsampled afterwards,
or whole pixel patches that are folded back to full size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import ConfigError


def pool_factor(size: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """Pixels per grid cell, (vertical, horizontal).

    Args:
        size: (H, W) of the image.
        grid: (h, w) of the correspondence grid.

    Raises:
        ConfigError: H is not a multiple of h, or W not one of w.
    """
    (height, width), (rows, columns) = size, grid
    if height % rows or width % columns:
        raise ConfigError(
            f"an image of {height}x{width} (height x width) cannot be divided into the encoder's "
            f"grid of {rows}x{columns}; let the data set give a height and width divisible by the "
            f"encoder's stride"
        )
    return height // rows, width // columns


def average_pool(image: Tensor, grid: tuple[int, int]) -> Tensor:
    """Mean of each grid cell: (B, C, H, W) -> (B, C, h, w); see `pool_factor` for the error."""
    return F.avg_pool2d(image, pool_factor(_size(image), grid))


def unfold_patches(image: Tensor, grid: tuple[int, int]) -> Tensor:
    """The pixels of each grid cell as one vector.

    Args:
        image: (B, C, H, W).
        grid: (h, w).

    Returns:
        (B, C * f * g, N) for cells of f x g pixels, N = h * w in row order.

    Raises:
        ConfigError: as `pool_factor`.
    """
    factor = pool_factor(_size(image), grid)
    return F.unfold(image, kernel_size=factor, stride=factor)


def fold_patches(patches: Tensor, grid: tuple[int, int], factor: tuple[int, int]) -> Tensor:
    """Inverse of `unfold_patches`: (B, C * f * g, N) -> (B, C, h * f, w * g)."""
    size = (grid[0] * factor[0], grid[1] * factor[1])
    return F.fold(patches, size, kernel_size=factor, stride=factor)


def upsample(values: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Grid values (B, C, h, w) at image size (B, C, H, W).

    Args:
        mode: `nearest`, or `bilinear` (pixel centres, corners not aligned).
    """
    if mode == "nearest":
        return F.interpolate(values, size=size, mode="nearest")
    return F.interpolate(values, size=size, mode=mode, align_corners=False)


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]
