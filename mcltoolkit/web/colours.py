"""Label maps painted in the palette's colours, turned back into class numbers.

A drawing program softens the border of a stroke: between two areas lie mixed colours, which can
come nearer to a third class than to both. A mixed pixel therefore gets the nearest colour among the
classes that are sure in its neighbourhood; only where there is none, the nearest of all, if near.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcltoolkit.data.label_colours import pack_colours, unpack_colour
from mcltoolkit.errors import DataError
from mcltoolkit.visualization.colours import Palette, as_palette

SURE = 12.0  # distance in RGB up to which a colour of a lossy file is a class's own
NEAR = 40.0
REACH = 2
MOST_COLOURS = 100_000
_CHUNK = 4096


def snap_colours(
    picture: np.ndarray,
    palette: Palette,
    names: Sequence[str],
    what: str = "label map",
    scale: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """The class of each pixel of a painted label map.

    Args:
        picture: (H, W, 3) uint8.
        palette: (K, 3), the classes' colours.
        names: K class names, for messages.
        what: the picture's name in messages.
        scale: rows and columns of the file for one of the picture, for places in messages.

    Returns:
        (H, W), uint8, or uint16 for more than 256 classes.

    Raises:
        DataError: colours that are near no class's colour.
    """
    colours = as_palette(palette).astype(np.float32)
    packed = pack_colours(picture)
    found, inverse = np.unique(packed, return_inverse=True)
    if len(found) > MOST_COLOURS:
        raise DataError(
            f"{what} has {len(found)} colours and looks like a photo; allowed are one channel of "
            f"class numbers 0..{len(names) - 1}, or the palette's {len(names)} colours"
        )
    nearest, distance = _nearest(_unpacked(found), colours)
    inverse = inverse.reshape(packed.shape)
    labels, far = nearest[inverse], distance[inverse]
    # Where most pixels have a class's very colour, nothing was lossy, and the others are mixtures.
    lossless = (far == 0).mean() > 0.5
    sure = far <= (0 if lossless else _sure_distance(colours))
    rows, columns = np.nonzero(~sure)
    best = np.full(len(rows), np.inf, dtype=np.float32)
    mixed = picture[rows, columns].astype(np.float32)
    chosen = labels[rows, columns]
    for label, valid in _neighbours(labels, sure, rows, columns):
        gap = np.where(valid, np.linalg.norm(mixed - colours[label], axis=1), np.inf)
        better = gap < best
        best[better], chosen[better] = gap[better], label[better]
    alone = np.isinf(best)
    lost = alone & (far[rows, columns] > NEAR)
    if lost.any():
        _refuse(picture, rows[lost], columns[lost], labels, colours, names, what, scale)
    labels[rows, columns] = chosen
    return labels.astype(np.uint8 if len(names) <= 256 else np.uint16)


def _sure_distance(colours: np.ndarray) -> float:
    """`SURE`, or less where two classes' colours are so near that it would reach the other."""
    if len(colours) < 2:
        return SURE
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    return min(SURE, float(apart.min()) / 2)


def _unpacked(packed: np.ndarray) -> np.ndarray:
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], -1).astype(np.float32)


def _nearest(values: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each value (N, 3) the nearest colour's index and distance."""
    index = np.empty(len(values), dtype=np.int64)
    distance = np.empty(len(values), dtype=np.float32)
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        apart = np.linalg.norm(values[part, None] - colours[None], axis=-1)
        index[part] = apart.argmin(1)
        distance[part] = apart.min(1)
    return index, distance


def _neighbours(labels, sure, rows, columns):  # type: ignore[no-untyped-def]
    """For each shift up to `REACH`: the labels there, and whether these are sure."""
    height, width = labels.shape
    for down in range(-REACH, REACH + 1):
        for right in range(-REACH, REACH + 1):
            y, x = rows + down, columns + right
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            y, x = y.clip(0, height - 1), x.clip(0, width - 1)
            yield labels[y, x], inside & sure[y, x]


def _refuse(
    picture: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    labels: np.ndarray,
    colours: np.ndarray,
    names: Sequence[str],
    what: str,
    scale: tuple[float, float],
) -> None:
    values, counts = np.unique(pack_colours(picture[rows, columns]), return_counts=True)
    common = unpack_colour(int(values[counts.argmax()]))
    at = int(np.argmax((picture[rows, columns] == common).all(1)))
    row, column = int(rows[at]), int(columns[at])
    near = int(labels[row, column])
    share = len(rows) / labels.size
    y, x = (int((place + 0.5) * factor) for place, factor in zip((row, column), scale, strict=True))
    raise DataError(
        f"{what}: {share:.1%} of its pixels are near no class's colour, such as "
        f"{list(common)} at x {x}, y {y}; the nearest is {names[near]!r} "
        f"{[int(v) for v in colours[near]]}. Allowed are the palette's colours, or one channel of "
        f"class numbers 0..{len(names) - 1}: repaint these places, or save the class numbers"
    )
