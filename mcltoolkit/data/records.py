"""What a data set on disk consists of: pictures, and conditions with their exemplars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """An image file with the files that its condition is read from.

    Attributes:
        name: unique among the conditions of a data set.
        image: path of the image.
        labels: path of the label map; where the condition is read from several files, what their
            paths begin with.
    """

    name: str
    image: str
    labels: str


@dataclass(frozen=True)
class Record:
    """A condition, whose image is the truth, and its exemplars.

    Attributes:
        condition: its image is the truth.
        exemplars: retrieved ones, best first.
        pair: another view of the same thing (the same person, dressed alike), which training takes
            in place of the truth itself.
    """

    condition: Picture
    exemplars: tuple[Picture, ...] = ()
    pair: Picture | None = None


def few(names: Sequence[str], shown: int = 5) -> str:
    """The first few names and how many more there are, for a message."""
    more = f", ... {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
