"""The training size that suits the pictures."""

from __future__ import annotations

import numpy as np

from mcltoolkit.data.doctor.survey import Survey
from mcltoolkit.errors import ConfigError


def parse_size(text: str) -> tuple[int, int | None]:
    """`256` -> (256, None): the short side; `256x384` -> (256, 384): height and width.

    Raises:
        ConfigError: neither form.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(
            f"--size is {text!r}; allowed are the short side, such as 256, or HEIGHTxWIDTH, such "
            f"as 256x384"
        )
    return int(parts[0]), int(parts[1]) if len(parts) == 2 else None


def training_size(survey: Survey, size: tuple[int, int | None], multiple: int) -> tuple[int, int]:
    """(height, width) of the training crop.

    Args:
        survey: of the images; their median aspect gives the long side.
        size: see `parse_size`.
        multiple: what height and width must be multiples of.

    Raises:
        ConfigError: a given side is no such multiple.
    """
    first, second = size
    for side in (first, second or first):
        if side % multiple:
            near = max(multiple, round(side / multiple) * multiple)
            raise ConfigError(
                f"--size {side} does not suit the networks: allowed are multiples of {multiple}, "
                f"such as {near}"
            )
    if second is not None:
        return first, second
    aspects = [facts.width / facts.height for _, facts in survey.all_images()]
    aspect = float(np.median(aspects)) if aspects else 1.0
    longer = max(first, round(first * max(aspect, 1 / aspect) / multiple) * multiple)
    return (first, longer) if aspect >= 1 else (longer, first)
