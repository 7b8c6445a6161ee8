"""The two kinds of features a retrieval may rest on, behind one face: network and layout."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mcltoolkit.data.images import read_labels
from mcltoolkit.data.retrieval.backbone import Backbone
from mcltoolkit.data.retrieval.layout import Layout, LayoutSimilarity, label_layout, stack_layouts
from mcltoolkit.data.retrieval.similarity import CosineSimilarity, Similarity
from mcltoolkit.errors import ConfigError, DataError

ANY_LABEL = 2**16
Arrays = Mapping[str, np.ndarray]


class Features(Protocol):
    """From pictures to arrays, and from the arrays of two sets to their similarity.

    Attributes:
        facts: what the features depend on, by name; written beside a list.
        reads_images: whether `prepare` looks at the image.
        reads_labels: whether it looks at the label map.
    """

    facts: dict[str, str]
    reads_images: bool
    reads_labels: bool

    def prepare(self, image: np.ndarray | None, labels: Path | None) -> Any:
        """One picture, read and brought to form; called from several threads."""

    def describe(self, prepared: Sequence[Any]) -> list[Any]:
        """A batch of prepared pictures, described one by one."""

    def gather(self, described: Sequence[Any]) -> dict[str, np.ndarray]:
        """All descriptions as arrays."""

    def similarity(self, queries: Arrays, candidates: Arrays) -> Similarity:
        """Of two sets, each from `gather`."""


class LayoutFeatures:
    """Label layouts, see `layout`.

    Args:
        ignored: labels that mean "unknown".
        grid: cells a side.
        share: weight of the class histogram against the grid.

    Raises:
        ConfigError: a grid below 1, or a share outside 0..1.
    """

    reads_images = False
    reads_labels = True

    def __init__(self, ignored: Collection[int] = (), grid: int = 8, share: float = 0.5) -> None:
        if grid < 1:
            raise ConfigError(f"--grid is {grid}; allowed are values >= 1")
        if not 0 <= share <= 1:
            raise ConfigError(f"--histogram-share is {share}; allowed are values 0..1")
        self.ignored, self.grid, self.share = tuple(ignored), grid, share
        self.facts = {
            "features": "layout",
            "ignored labels": " ".join(map(str, ignored)) or "none",
            "grid": f"{grid}x{grid}",
            "histogram share": str(share),
        }

    def prepare(self, image: np.ndarray | None, labels: Path | None) -> Layout:
        """The layout of a label map.

        Raises:
            DataError: the file is broken, too small, or all of it is ignored.
        """
        if labels is None:
            raise ConfigError("--features layout compares label maps; give --labels")
        values = read_labels(labels, ANY_LABEL)
        try:
            return label_layout(values, self.grid, self.ignored)
        except DataError as error:
            raise DataError(f"label map {labels}: {error}") from error

    def describe(self, prepared: Sequence[Layout]) -> list[Layout]:
        """Layouts need no network."""
        return list(prepared)

    def gather(self, described: Sequence[Layout]) -> dict[str, np.ndarray]:
        """See `stack_layouts`."""
        return stack_layouts(described)

    def similarity(self, queries: Arrays, candidates: Arrays) -> Similarity:
        """See `LayoutSimilarity`."""
        return LayoutSimilarity(queries, candidates, self.share)


class BackboneFeatures:
    """Features of a network, compared by their cosine."""

    reads_images = True
    reads_labels = False

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.facts = backbone.facts

    def prepare(self, image: np.ndarray | None, labels: Path | None) -> np.ndarray:
        """The network's input."""
        assert image is not None
        return self.backbone.prepare(image)

    def describe(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One pass of the network."""
        return list(self.backbone(np.stack(prepared)))

    def gather(self, described: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """`features` (N, D)."""
        return {"features": np.stack(described)}

    def similarity(self, queries: Arrays, candidates: Arrays) -> Similarity:
        """See `CosineSimilarity`."""
        if queries is candidates:
            return CosineSimilarity(queries["features"], queries["features"])
        return CosineSimilarity(queries["features"], candidates["features"])
