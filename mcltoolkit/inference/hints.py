"""What a mistaken condition or exemplar probably is, for the messages that refuse it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcltoolkit.data.label_colours import pack_colours, unpack_colour

FEW_COLOURS = 256
_SHOWN = 3


def class_list(classes: Sequence[str] | None, most: int = 12) -> str:
    """The model's classes as `0 sky, 1 road, ...`; empty where they have no names."""
    if not classes or all(name == f"class {k}" for k, name in enumerate(classes)):
        return ""
    shown = ", ".join(f"{k} {name}" for k, name in enumerate(classes[:most]))
    return f"{shown}, ... {len(classes) - 1} {classes[-1]}" if len(classes) > most else shown


def about_colours(
    rgb: np.ndarray, palette: Sequence[tuple[int, int, int]] | None, classes: Sequence[str] | None
) -> str:
    """Whether a colour picture (H, W, 3) given as a condition is a painted label map or a photo.

    A label map has flat colours; more than `FEW_COLOURS` different ones are a photo's.
    """
    found = np.unique(pack_colours(rgb))
    if len(found) > FEW_COLOURS:
        return (
            f"it has {len(found)} colours, so it seems to be a photo: the exemplar is the photo, "
            f"the condition the label map"
        )
    named = dict(zip(map(tuple, palette or ()), classes or (), strict=False))
    shown = []
    for value in found[:_SHOWN]:
        colour = unpack_colour(int(value))
        shown.append(f"{colour} = {named[colour]}" if colour in named else f"{colour}")
    known = sum(unpack_colour(int(value)) in named for value in found)
    more = f", {known} of them in which this model's classes are displayed" if known else ""
    return (
        f"it has {len(found)} colours ({', '.join(shown)}{', ...' if len(found) > _SHOWN else ''})"
        f"{more}, so it seems to be a label map painted in colours: convert it with "
        f"tools/check_dataset.py --palette, see docs/own-data.md"
    )
