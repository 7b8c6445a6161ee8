"""How conditions are read: label maps, or dense maps of some channels.

A `ConditionSource` gives image and maps at one size, before crops and flips, which then treat both
alike. What is computed from photo and files (edges, distances) is therefore computed on the whole
picture at the size that the geometry's leading `PILResize` gives, as the released CoCosNet does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcltoolkit.data.images import labels_to_tensor, read_image, read_labels
from mcltoolkit.data.palette import class_palette
from mcltoolkit.data.records import Picture
from mcltoolkit.data.transforms import Geometry, pil_resize
from mcltoolkit.errors import ConfigError, DataError

Colours = Sequence[Sequence[int]]
Read = tuple[np.ndarray, np.ndarray]


class ConditionSource(ABC):
    """Reads the condition of a picture beside its image."""

    num_channels: int
    """C, channels of the condition that a network sees."""

    @abstractmethod
    def read(self, picture: Picture, geometry: Geometry) -> Read:
        """Image (H, W, 3) uint8 and maps (H, W) or (H, W, D) of the same size, for `geometry`.

        Raises:
            DataError: a file is missing or broken; the message names it.
        """

    @abstractmethod
    def to_tensors(self, maps: np.ndarray) -> tuple[Tensor | None, Tensor | None]:
        """Labels (H, W) int64 and dense condition (C, H, W) float32, each where there is one."""

    @property
    @abstractmethod
    def metainfo(self) -> dict[str, Any]:
        """What metrics and pictures need; `condition_channels` is always there."""


class LabelMaps(ConditionSource):
    """Label maps, one class a pixel; the batch makes them one-hot, channel k for value k.

    Args:
        num_classes: K; label values lie in 0..K-1.
        classes: K names; None numbers them.
        palette: K display colours, RGB in 0..255; None generates them.
        ignore_label: the class in 0..K-1 that means "unknown", if there is one.
        label_map: label values to replace when reading, such as {255: 0}.

    Raises:
        ConfigError: a setting is not allowed.
    """

    def __init__(
        self,
        num_classes: int,
        classes: Sequence[str] | None = None,
        palette: Colours | None = None,
        ignore_label: int | None = None,
        label_map: Mapping[int, int] | None = None,
    ) -> None:
        if num_classes < 1:
            raise ConfigError(f"num_classes is {num_classes}; allowed are values >= 1")
        for name, values in (("classes", classes), ("palette", palette)):
            if values is not None and len(values) != num_classes:
                raise ConfigError(
                    f"{name} has {len(values)} entries, num_classes is {num_classes}; give one "
                    f"entry for each class"
                )
        if ignore_label is not None and not 0 <= ignore_label < num_classes:
            raise ConfigError(
                f"ignore_label is {ignore_label}; allowed are 0..{num_classes - 1} or None; map a "
                f"value outside with label_map={{{ignore_label}: ...}}"
            )
        self.num_channels = num_classes
        self.ignore_label = ignore_label
        self.label_map = dict(label_map or {})
        self.classes = list(classes or (f"class {k}" for k in range(num_classes)))
        self.palette = [(c[0], c[1], c[2]) for c in palette or class_palette(num_classes)]

    def read(self, picture: Picture, geometry: Geometry) -> Read:
        """Image and label map as stored; both must agree in size."""
        image = read_image(picture.image)
        labels = read_labels(picture.labels, self.num_channels, self.label_map)
        if image.shape[:2] != labels.shape:
            raise DataError(
                f"image {picture.image} has {image.shape[0]}x{image.shape[1]} pixels (height x "
                f"width), its label map {picture.labels} has {labels.shape[0]}x{labels.shape[1]}; "
                f"both must agree: resize one of the files"
            )
        return image, labels

    def to_tensors(self, maps: np.ndarray) -> tuple[Tensor | None, Tensor | None]:
        """Labels alone."""
        return labels_to_tensor(maps), None

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes, palette, num_classes, ignore_label, condition_channels."""
        return {
            "classes": list(self.classes),
            "palette": list(self.palette),
            "num_classes": self.num_channels,
            "ignore_label": self.ignore_label,
            "condition_channels": self.num_channels,
        }


class DenseMaps(ConditionSource):
    """Base of conditions with C channels in [0, 1], held as (H, W, C) uint8 until the end.

    Attributes:
        channels: C names.
        shown_channels: the channels that a picture of the condition shows: one, or three as red,
            green and blue.
    """

    channels: tuple[str, ...]
    shown_channels: tuple[int, ...]

    def to_tensors(self, maps: np.ndarray) -> tuple[Tensor | None, Tensor | None]:
        """The dense condition alone, values divided by 255."""
        planes = np.ascontiguousarray(maps.transpose(2, 0, 1))
        return None, torch.from_numpy(planes).float().div_(255)

    @property
    def metainfo(self) -> dict[str, Any]:
        """channels, shown_channels, condition_channels."""
        return {
            "channels": list(self.channels),
            "shown_channels": self.shown_channels,
            "condition_channels": self.num_channels,
        }


def load_image(picture: Picture, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """The image as stored, and at the geometry's load size, as the network will see it."""
    stored = read_image(picture.image)
    size = geometry.load_size(*stored.shape[:2])
    return stored, pil_resize(stored, *size, Image.Resampling.BICUBIC)


def fit_mask(
    mask: np.ndarray, path: str | Path, stored: np.ndarray, image: np.ndarray
) -> np.ndarray:
    """A mask (h, w) of the stored image (H, W, 3) at the size of the loaded one, uint8, by nearest.

    Raises:
        DataError: the mask has another shape than the stored image, so that it is another's.
    """
    (h, w), (height, width) = mask.shape, stored.shape[:2]
    if h * width != w * height:
        raise DataError(
            f"mask {path} has {h}x{w} pixels (height x width), its photo {height}x{width}; allowed "
            f"are other sizes of the same shape: restore the mask that belongs to the photo"
        )
    (rows, columns), nearest = image.shape[:2], Image.Resampling.NEAREST
    return pil_resize(mask.astype(np.uint8), rows, columns, nearest)
