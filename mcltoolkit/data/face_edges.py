"""Edges of a face: borders of its parts, distances to them, and Canny edges outside them.

The 15 channels of the released CoCosNet for CelebA-HQ edges (Zhang et al., CVPR 2020), in its
order.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from mcltoolkit.data.conditions import DenseMaps, Read, fit_mask, load_image
from mcltoolkit.data.distances import distance_map
from mcltoolkit.data.images import read_region
from mcltoolkit.data.records import Picture
from mcltoolkit.data.transforms import Geometry, pil_resize
from mcltoolkit.errors import DataError

PARTS = (
    "skin", "l_brow", "r_brow", "l_eye", "r_eye", "l_ear", "r_ear", "nose",
    "u_lip", "mouth", "l_lip", "eye_g", "hair",
)  # fmt: skip
"""Parts with a distance map of their own; l_ and r_ are the person's left and right."""

CHANNELS = ("all edges", *PARTS, "part borders")


def region_border(region: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels with a neighbour (of four) on the other side of the region's border."""
    border = np.zeros(region.shape, dtype=bool)
    across, down = region[:, 1:] != region[:, :-1], region[1:] != region[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    return border


def canny_edges(grey: np.ndarray, name: str) -> np.ndarray:
    """Canny edges (H, W) bool of a photo, with scikit-image's defaults (sigma 1).

    Args:
        grey: (H, W) uint8.
        name: what to call the photo in an error.

    Raises:
        DataError: not a single edge was found.
    """
    from skimage.feature import canny

    edges: np.ndarray = canny(grey)
    if not edges.any():
        raise DataError(
            f"photo {name}: Canny found 0 edges in {grey.shape[0]}x{grey.shape[1]} pixels of grey "
            f"values {grey.min()}..{grey.max()}, at least 1 is needed; look whether the photo is "
            f"empty and replace it, or, if other photos fail too, install another scikit-image "
            f"(found {version('scikit-image')}, tested 0.22 to 0.26)"
        )
    return edges


def face_edge_maps(canny: np.ndarray, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The condition of a face.

    Canny edges count in the background and in the hair, where no inner part lies.

    Args:
        canny: (H, W) bool, edges of the photo.
        parts: region (H, W) bool by name; a part that is hidden is left out.

    Returns:
        (H, W, 15) uint8, see `CHANNELS`: all edges (0 or 255), 13 distance maps, part borders
        (0 or 255).
    """
    nothing = np.zeros(canny.shape, dtype=bool)
    inner, borders, distances = nothing, nothing, []
    for part in PARTS:
        region = parts.get(part, nothing)
        border = region_border(region)
        borders = borders | border
        distances.append(distance_map(border))
        if part != "hair":
            inner = inner | region
    outside = ~inner | parts.get("hair", nothing)
    white = np.uint8(255)
    return np.dstack([(borders | (canny & outside)) * white, *distances, borders * white])


class FaceEdges(DenseMaps):
    """Face edges from the photo and its part masks, `{labels}_{part}.png`.

    A part without a file is hidden. Photo and masks may differ in size: both are brought to the
    size that the geometry begins with, where the edges are computed.
    """

    channels = CHANNELS
    shown_channels = (0,)
    num_channels = len(CHANNELS)

    def read(self, picture: Picture, geometry: Geometry) -> Read:
        """Photo and edge maps (H, W, 15).

        Raises:
            DataError: a file is broken or of another shape, no part has a mask, or Canny finds
                no edge.
        """
        stored, image = load_image(picture, geometry)
        parts = {}
        for part in PARTS:
            path = Path(f"{picture.labels}_{part}.png")
            if path.is_file():
                parts[part] = fit_mask(read_region(path), path, stored, image) > 0
        if not parts:
            raise DataError(
                f"photo {picture.image} has no part mask: 0 files {picture.labels}_PART.png found, "
                f"allowed are 1 to {len(PARTS)} of {', '.join(PARTS)}; restore them, or take the "
                f"photo out of the split"
            )
        # The photo for Canny is resized on its own, bilinearly, as the released code does.
        height, width = image.shape[:2]
        smooth = pil_resize(stored, height, width, Image.Resampling.BILINEAR)
        grey = np.array(Image.fromarray(smooth).convert("L"))
        return image, face_edge_maps(canny_edges(grey, picture.image), parts)
