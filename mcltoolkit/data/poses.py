"""Body poses: OpenPose's text files, the drawn skeleton, and distances to each limb.

The 3 + 17 channels of the released CoCosNet for DeepFashion (Zhang et al., CVPR 2020), whose poses
come from pytorch-openpose: joints in COCO's order, one hue a joint, half-transparent limbs.
"""

from __future__ import annotations

import colorsys
import io
import math
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mcltoolkit.data.conditions import DenseMaps, Read, load_image
from mcltoolkit.data.distances import distance_map
from mcltoolkit.data.records import Picture
from mcltoolkit.data.storage import read_text
from mcltoolkit.data.transforms import Geometry, pil_resize
from mcltoolkit.errors import DataError

JOINTS = (
    "nose", "neck",
    "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip
"""Right and left are the person's."""

LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of joints; limb i is drawn in the colour of joint i."""

CHANNELS = (
    "skeleton red", "skeleton green", "skeleton blue",
    *(f"{JOINTS[a]} - {JOINTS[b]}" for a, b in LIMBS),
)  # fmt: skip

CANDIDATE_COLUMNS = 4
SUBSET_COLUMNS = 20
THICKNESS = 4
OPACITY = 0.6


def joint_colours() -> list[tuple[int, int, int]]:
    """Red, green and blue of each joint: hues at equal steps, from blue downwards."""
    # OpenPose's table starts at red; its channels are in OpenCV's order, so red shows as blue.
    hues = (colorsys.hsv_to_rgb(i / len(JOINTS), 1.0, 1.0) for i in range(len(JOINTS)))
    return [(round(255 * b), round(255 * g), round(255 * r)) for r, g, b in hues]


def read_pose(candidate: str | Path, subset: str | Path) -> np.ndarray:
    """The joints of the one person in a photo, (18, 2): x and y in pixels, NaN where missing.

    Args:
        candidate: a row for each detected joint: x, y, score, number.
        subset: a row for each person: for each joint its row in `candidate` or -1, then the total
            score and the number of joints.

    Raises:
        DataError: a file is missing or malformed, or shows no person or several.
    """
    detected = _read_table(candidate, CANDIDATE_COLUMNS, "x, y, score, number")
    persons = _read_table(subset, SUBSET_COLUMNS, "18 rows of the candidate file, score, count")
    if len(persons) != 1:
        raise DataError(
            f"pose file {subset}: {len(persons)} persons found, allowed is 1 (one row); delete the "
            f"rows of the others, or take a photo that shows nobody out of the split and the lists"
        )
    rows = persons[0, : len(JOINTS)]
    for name, row in zip(JOINTS, rows, strict=True):
        if row != np.floor(row) or not -1 <= row < len(detected):
            raise DataError(
                f"pose file {subset}: row {row:g} found for the {name}, allowed are "
                f"0..{len(detected) - 1} (rows of {candidate}) and -1 (missing); estimate the pose "
                f"anew, or restore both files together"
            )
    joints = np.full((len(JOINTS), 2), np.nan)
    present = rows >= 0
    joints[present] = detected[rows[present].astype(int), :2]
    return joints


def draw_skeleton(joints: np.ndarray, height: int, width: int) -> np.ndarray:
    """The skeleton on black, (H, W, 3) uint8, red, green, blue.

    Args:
        joints: (18, 2), see `read_pose`.
        height, width: of the photo that the joints were found in.
    """
    canvas: np.ndarray = np.zeros((height, width, 3), dtype=np.uint8)
    colours = joint_colours()
    for joint, colour in zip(joints, colours, strict=True):
        if not np.isnan(joint).any():
            centre = (int(joint[0]), int(joint[1]))
            cv2.circle(canvas, centre, THICKNESS, colour, thickness=cv2.FILLED)
    for limb, colour in zip(LIMBS, colours, strict=False):
        outline = _limb_outline(joints[list(limb)])
        if outline is not None:
            painted = cv2.fillConvexPoly(canvas.copy(), outline, colour)
            canvas = cv2.addWeighted(canvas, 1 - OPACITY, painted, OPACITY, 0)
    return canvas


def limb_distances(joints: np.ndarray, height: int, width: int) -> np.ndarray:
    """The distance map of each limb, (H, W, 17) uint8; 255 where a limb is missing.

    Args:
        joints, height, width: see `draw_skeleton`.
    """
    maps = []
    for limb in LIMBS:
        region = np.zeros((height, width), dtype=np.uint8)
        outline = _limb_outline(joints[list(limb)])
        if outline is not None:
            cv2.fillConvexPoly(region, outline, 1)
        maps.append(distance_map(region.astype(bool)))
    return np.dstack(maps)


class PoseMaps(DenseMaps):
    """Skeleton and limb distances from `{labels}_candidate.txt` and `{labels}_subset.txt`.

    Both are drawn at the size of the photo as stored, in whose pixels the joints are given, and
    then brought to the size that the geometry begins with: the skeleton with nearest, distances
    bilinearly.
    """

    channels = CHANNELS
    shown_channels = (0, 1, 2)
    num_channels = len(CHANNELS)

    def read(self, picture: Picture, geometry: Geometry) -> Read:
        """Photo and pose maps (H, W, 20).

        Raises:
            DataError: a file is broken, or a joint lies outside the photo.
        """
        stored, image = load_image(picture, geometry)
        joints = read_pose(f"{picture.labels}_candidate.txt", f"{picture.labels}_subset.txt")
        height, width = stored.shape[:2]
        outside = ((joints < 0) | (joints > (width, height))).any(axis=1)
        if outside.any():
            first = int(outside.argmax())
            x, y = joints[first]
            raise DataError(
                f"pose file {picture.labels}_candidate.txt: {JOINTS[first]} found at x {x:g}, "
                f"y {y:g}, allowed are places inside the photo {picture.image} of {width}x{height} "
                f"(width x height); use the photo that the pose was estimated from"
            )
        skeleton = draw_skeleton(joints, height, width)
        distances = limb_distances(joints, height, width).transpose(2, 0, 1)
        (rows, columns), how = image.shape[:2], Image.Resampling
        maps = [pil_resize(skeleton, rows, columns, how.NEAREST)]
        maps += [pil_resize(one, rows, columns, how.BILINEAR) for one in distances]
        return image, np.dstack(maps)


def _limb_outline(ends: np.ndarray) -> np.ndarray | None:
    """The polygon of a thin ellipse from joint to joint, or None where a joint is missing."""
    if np.isnan(ends).any():
        return None
    x, y = (int(v) for v in ends.mean(0))
    dx, dy = ends[0] - ends[1]
    angle = int(math.degrees(math.atan2(dy, dx)))
    axes = (int(math.hypot(dx, dy) / 2), THICKNESS)
    return np.array(cv2.ellipse2Poly((x, y), axes, angle, 0, 360, 1))


def _read_table(path: str | Path, columns: int, meaning: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            # An empty file is the caller's to judge.
            warnings.filterwarnings("ignore", message=".*input contained no data")
            table = np.loadtxt(io.StringIO(read_text(path)), ndmin=2)
    except FileNotFoundError:
        raise DataError(
            f"pose file {path} does not exist; estimate the pose of the photo, or correct "
            f"data_root (--data-root)"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"pose file {path} cannot be read as a table of numbers ({error}); allowed are rows "
            f"of {columns} ({meaning}), separated by blanks; estimate the pose anew"
        ) from error
    if table.size == 0:
        return np.zeros((0, columns))
    if table.shape[1] != columns:
        raise DataError(
            f"pose file {path}: {table.shape[1]} columns found, allowed are {columns} "
            f"({meaning}); estimate the pose anew"
        )
    if not np.isfinite(table).all():
        row = int(np.argmin(np.isfinite(table).all(axis=1)))
        raise DataError(
            f"pose file {path}, row {row}: a value that is no finite number found; estimate the "
            f"pose anew"
        )
    return table
