"""SWD: sliced Wasserstein distance of patches of Laplacian pyramids (Karras et al., ICLR 2018).

Each image becomes a pyramid; of each level 7 x 7 patches are taken at random places, and those of
a set are normalised by channel. The patches of both sets are projected on random directions; the
distance of a level is the mean difference of the sorted projections, times 1000.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics.inception import to_bytes
from mcltoolkit.metrics.set_metric import SetMetric
from mcltoolkit.metrics.shared import stacked
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction

PATCH = 7
SMALLEST = 16
"""The shorter side of the last level."""
KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
DIRECTIONS = 128
REPEATS = 4


def laplacian_pyramid(images: Tensor, smallest: int = SMALLEST) -> list[Tensor]:
    """What each halving takes from the images, finest first, and last the coarsest image.

    Args:
        images: (B, C, H, W).
        smallest: a level is halved as long as its shorter side stays at least that.

    Raises:
        DataError: the images are smaller than the last level.
    """
    if min(images.shape[2:]) < smallest:
        raise DataError(
            f"SWD of images of {images.shape[2]}x{images.shape[3]}: the shorter side must be at "
            f"least {smallest}; use larger images, or leave SWD out"
        )
    levels = []
    while min(images.shape[2:]) // 2 >= smallest:
        coarse = _blurred(images)[:, :, ::2, ::2]
        spread = torch.zeros_like(images)
        spread[:, :, ::2, ::2] = 4 * coarse
        levels.append(images - _blurred(spread))
        images = coarse
    return [*levels, images]


def patches_of(image: Tensor, count: int, seed: Sequence[int]) -> list[Tensor]:
    """Patches of each level of an image's pyramid.

    Args:
        image: (C, H, W).
        count: patches a level.
        seed: of their places.

    Returns:
        (count, C, 7, 7) for each level.
    """
    random = np.random.default_rng(list(seed))
    found = []
    for level in laplacian_pyramid(image[None]):
        height, width = level.shape[2:]
        top = torch.from_numpy(random.integers(0, height - PATCH + 1, count)).to(level.device)
        left = torch.from_numpy(random.integers(0, width - PATCH + 1, count)).to(level.device)
        span = torch.arange(PATCH, device=level.device)
        rows, columns = (top[:, None] + span)[:, :, None], (left[:, None] + span)[:, None, :]
        found.append(level[0][:, rows, columns].transpose(0, 1))
    return found


def swd(first: Tensor, second: Tensor, seed: int = 0) -> float:
    """Sliced Wasserstein distance, times 1000, of two sets of patches of one level.

    Args:
        first, second: (n, C, h, w), as many in both.
        seed: of the directions, `REPEATS` times `DIRECTIONS` of them.

    Raises:
        DataError: the sets differ in size.
    """
    if first.shape != second.shape:
        raise DataError(
            f"SWD of {len(first)} and {len(second)} patches: it sorts them against each other, so "
            f"both sets need as many images of one size"
        )
    sets = [_normalised(values).flatten(1) for values in (first, second)]
    random = np.random.default_rng(seed)
    distances = []
    for _ in range(REPEATS):
        drawn = random.standard_normal((sets[0].shape[1], DIRECTIONS))
        directions = torch.from_numpy(drawn / np.linalg.norm(drawn, axis=0)).to(sets[0])
        ours, theirs = ((values @ directions).sort(dim=0).values for values in sets)
        distances.append((ours - theirs).abs().mean())
    return 1000 * float(torch.stack(distances).mean())


def _normalised(patches: Tensor) -> Tensor:
    """Each channel with mean 0 and deviation 1 over the set; a constant channel becomes 0."""
    deviation, mean = torch.std_mean(patches.double(), dim=(0, 2, 3), keepdim=True, correction=0)
    return ((patches.double() - mean) / deviation.clamp_min(1e-8)).float()


def _blurred(images: Tensor) -> Tensor:
    """Smoothed by the 5 x 5 binomial kernel, mirrored at the border; sums of shifts, since a
    convolution may run in lower precision on a GPU."""
    for dim, padding in ((3, (2, 2, 0, 0)), (2, (0, 0, 2, 2))):
        padded, length = F.pad(images, padding, mode="reflect"), images.shape[dim]
        shifted = [KERNEL[i] * padded.narrow(dim, i, length) for i in range(len(KERNEL))]
        images = shifted[0] + shifted[1] + shifted[2] + shifted[3] + shifted[4]
    return images


@METRICS.register_module()
class SWD(SetMetric):
    """Sliced Wasserstein distance of outputs and truths, times 1000; lower is better.

    Keys: `swd`, the mean over levels, and `swd@SIDE` for each level, by its shorter side. Patches
    of output and truth of a sample come from the same places. They are collected from all ranks:
    at 256 x 256 a sample weighs 0.75 MB with 128 patches.

    Args:
        patches: of each image and level.
        seed: of places and directions.
        options: those of mmengine's `BaseMetric`.

    Raises:
        ConfigError: no patches.
        DataError: at the evaluation, a sample without truth, small images, or images of several
            sizes.
    """

    def __init__(self, patches: int = 128, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if patches < 1:
            raise ConfigError(f"SWD.patches is {patches}; allowed are values >= 1")
        self.patches, self.seed = patches, seed

    def check_sets(self, first: int, second: int) -> None:
        """Refuse sets of unequal size."""
        if first != second:
            raise DataError(
                f"SWD of {first} and {second} images: it sorts them against each other, so both "
                f"sets need as many images; use as many, or measure KID or FID"
            )

    def describe(self, samples: Sequence[Prediction], role: str) -> list[dict[str, np.ndarray]]:
        """Patches of each image by the level's shorter side: (patches, 3, 7, 7)."""
        entries = []
        for sample, image in zip(samples, to_bytes(stacked(samples, role)).float(), strict=True):
            seed = (self.seed, zlib.crc32(sample.name.encode()))
            side = min(image.shape[1:])
            entry = {}
            for patches in patches_of(image, self.patches, seed):
                entry[str(side)] = patches.cpu().numpy()
                side = -(-side // 2)
            entries.append(entry)
        return entries

    def compare(
        self, first: list[dict[str, np.ndarray]], second: list[dict[str, np.ndarray]]
    ) -> dict[str, float]:
        """Distance of each level and their mean."""
        sizes = {tuple(entry) for entry in (*first, *second)}
        if len(sizes) != 1:
            raise DataError(
                f"SWD needs images of one size, but {len(sizes)} are found; let the geometry of "
                f"the data set end in one fixed size, resize the images, or leave SWD out"
            )
        found = {}
        for level in first[0]:
            ours, theirs = (
                torch.from_numpy(np.concatenate([entry[level] for entry in side]))
                for side in (first, second)
            )
            found[f"swd@{level}"] = swd(ours, theirs, self.seed)
        return {"swd": sum(found.values()) / len(found), **found}

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        return {
            **super().passport(key),
            "protocol": "swd-laplacian-7x7-1",
            "value_range": "0..255, 8 bits, patches normalised by channel",
            "resize": "none",
            "levels": f"halved down to {SMALLEST}",
            "patches": self.patches,
            "directions": REPEATS * DIRECTIONS,
            "seed": self.seed,
        }
