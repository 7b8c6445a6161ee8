"""Smooth random warps with a known inverse: what makes a match's right answer known.

A thin-plate spline (Bookstein, TPAMI 1989) moves the points of a coarse lattice at random and
bends the plane as little as it can between them. Its bending is limited, so that it never folds
and can be inverted by iteration.

Points are (x, y) with -1 and 1 at the image's outer edges, so that the centre of pixel j of W is at
(2 j + 1) / W - 1: the convention of `grid_sample(align_corners=False)`.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LATTICE = 3  # points a side; more would let neighbours move against one another
STEEPEST = 0.7  # a displacement that changes by less than 1 a unit neither folds nor stalls inverse
_TOLERANCE = 1e-6  # change of a point in the last round
_ROUNDS = 200
_DIVERGED = 100.0


class SmoothWarp:
    """A thin-plate spline of the plane: points of the truth -> points of the warped exemplar.

    Args:
        controls: (n, 2), points that are moved; not all on one line.
        moves: (n, 2), by how much.
    """

    def __init__(self, controls: np.ndarray, moves: np.ndarray) -> None:
        n = len(controls)
        self.controls = controls
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = _kernel(_squared(controls, controls))
        system[:n, n] = system[n, :n] = 1
        system[:n, n + 1 :] = controls
        system[n + 1 :, :n] = controls.T
        solved = np.linalg.solve(system, np.concatenate([moves, np.zeros((3, 2))]))
        self.weights, self.shift, self.linear = solved[:n], solved[n], solved[n + 1 :]

    def displacement(self, points: np.ndarray) -> np.ndarray:
        """By how much the points (P, 2) move."""
        bent = _kernel(_squared(points, self.controls)) @ self.weights
        return bent + self.shift + points @ self.linear

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Where the points (P, 2) go."""
        return points + self.displacement(points)

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Where the points (P, 2) come from, to 1e-5.

        Found by the iteration x = point - displacement(x), which converges for displacements that
        change by less than 1 a unit.

        Raises:
            ArithmeticError: it did not converge: the warp folds.
        """
        found = points - self.displacement(points)
        for _ in range(_ROUNDS):
            before, found = found, points - self.displacement(found)
            change = np.abs(found - before).max()
            if change < _TOLERANCE:
                return found
            if change > _DIVERGED:
                break
        raise ArithmeticError("the warp folds: no inverse found")

    def steepness(self, points: np.ndarray) -> float:
        """Largest change of the displacement a unit, over the points (P, 2)."""
        apart = points[:, None] - self.controls
        # The kernel r^2 log r^2 has the gradient 2 (log r^2 + 1) times the difference.
        slope = 2 * (np.log(np.maximum((apart**2).sum(2), np.finfo(float).tiny)) + 1)
        jacobian = np.einsum("pnd,pn,nk->pdk", apart, slope, self.weights) + self.linear
        return float(np.linalg.norm(jacobian, ord=2, axis=(1, 2)).max())


def draw_warp(rng: np.random.Generator, strength: float) -> SmoothWarp:
    """A random warp of the square [-1, 1] x [-1, 1].

    Args:
        rng: decides everything.
        strength: how far, as a share of the image's side, the whole image is shifted at most along
            each axis, and how far each point of the lattice is moved besides. The latter is
            reduced where the warp would fold.
    """
    axis = np.linspace(-1, 1, LATTICE)
    controls = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    shift = 2 * strength * rng.uniform(-1, 1, 2)
    moves = 2 * strength * rng.uniform(-1, 1, controls.shape)
    # Sources of exemplar pixels may lie outside the truth, so the check looks beyond its edges.
    wide = np.linspace(-1.8, 1.8, 25)
    plane = np.stack(np.meshgrid(wide, wide), axis=-1).reshape(-1, 2)
    steepness = SmoothWarp(controls, moves).steepness(plane)
    moves *= min(1.0, STEEPEST / max(steepness, STEEPEST))
    return SmoothWarp(controls, shift + moves)


def pixel_centres(size: tuple[int, int]) -> np.ndarray:
    """(x, y) of the pixel centres of an (H, W) image, (H * W, 2) in row order."""
    y, x = ((2 * np.arange(side) + 1) / side - 1 for side in size)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def warp_picture(image: Tensor, labels: Tensor, warp: SmoothWarp) -> tuple[Tensor, Tensor]:
    """An image and its labels, warped; what comes from outside is mirrored at the edge.

    Args:
        image: (3, H, W), sampled bilinearly.
        labels: (H, W), sampled at the nearest pixel.

    Returns:
        The warped image, same shape and range, and the warped labels.
    """
    size = (labels.shape[0], labels.shape[1])
    sources = torch.from_numpy(warp.inverse(pixel_centres(size))).reshape(1, *size, 2)
    sample = partial(F.grid_sample, padding_mode="reflection", align_corners=False)
    # In float64 the mean of equal colours stays in the image's range and labels stay exact.
    warped = sample(image[None].double(), sources, mode="bilinear")
    moved = sample(labels[None, None].double(), sources, mode="nearest")
    return warped[0].to(image.dtype), moved[0, 0].to(labels.dtype)


def known_positions(warp: SmoothWarp, size: tuple[int, int]) -> Tensor:
    """Where each pixel of the truth lies in the warped exemplar.

    Args:
        size: (H, W) of the truth.

    Returns:
        (2, H, W) float32, (x, y) of each pixel centre; NaN for pixels that left the exemplar.
    """
    positions = warp(pixel_centres(size))
    positions[(np.abs(positions) > 1).any(1)] = np.nan
    return torch.from_numpy(positions.T.reshape(2, *size).astype(np.float32))


def _squared(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return ((points[:, None] - others) ** 2).sum(2)


def _kernel(squared: np.ndarray) -> np.ndarray:
    return squared * np.log(np.maximum(squared, np.finfo(float).tiny))
