"""Distance maps: how far each pixel is from a line, in the 8-bit form that CoCosNet's networks see.

A line alone is a sparse input; the distance to it reaches every pixel.
"""

from __future__ import annotations

import cv2
import numpy as np

SCALE = 3
FAR = 255


def distance_map(marked: np.ndarray) -> np.ndarray:
    """A third of the L1 distance to the nearest marked pixel, rounded down and clipped to 255.

    Args:
        marked: (H, W) bool.

    Returns:
        (H, W) uint8; 255 everywhere where nothing is marked.
    """
    if not marked.any():
        return np.full(marked.shape, FAR, dtype=np.uint8)
    # With the 3x3 mask OpenCV's L1 distance is exact.
    distance = cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L1, 3)
    return np.minimum(distance // SCALE, FAR).astype(np.uint8)
