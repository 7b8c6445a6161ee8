"""A folder of images to be measured: its files by name, their formats and sizes, and their partners
in other folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcltoolkit.data.images import image_to_tensor, read_image, read_labels
from mcltoolkit.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
SHOWN = 5
LABELS = 2**16
FORMATS = {"jpeg": "jpg", "mpo": "jpg"}
"""Usual names of formats that Pillow calls otherwise; MPO is a camera's JPEG with a second one."""


@dataclass(frozen=True)
class ImageFolder:
    """Files by name: their path within the folder, without suffix.

    Attributes:
        root: the folder.
        files: path by name, sorted.
    """

    root: Path
    files: Mapping[str, Path]

    @cached_property
    def formats(self) -> str:
        """The files' formats, such as `png`, or `jpg, png` of a mixed folder; what the files hold
        counts, not what they are called.

        Raises:
            DataError: a file is no image.
        """
        return ", ".join(sorted({_format_of(file) for file in self.files.values()}))

    def partner(self, name: str) -> Path:
        """The file of that name; `check_partners` has seen that there is one."""
        return self.files[name]


def open_folder(root: str | Path, what: str) -> ImageFolder:
    """The images of a folder and of those within it, links to folders included. Names that begin
    with a dot are passed over: macOS leaves such files beside images.

    Args:
        root: the folder.
        what: what it holds, for messages.

    Raises:
        DataError: no such folder, no images in it, or two of one name.
    """
    root = Path(root)
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise DataError(f"the folder of {what} {root} {found}; name a folder of image files")
    files: dict[str, Path] = {}
    for path in sorted(_images_below(root)):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in files:
            raise DataError(
                f"the folder of {what} {root} has {files[name].name} and {path.name}: two files "
                f"of one name; keep one of them"
            )
        files[name] = path
    if not files:
        raise DataError(
            f"the folder of {what} {root} holds no images; allowed are {', '.join(SUFFIXES)}"
        )
    return ImageFolder(root, files)


def _images_below(root: Path) -> Iterator[Path]:
    """A folder that a link within itself leads back to is not entered again."""
    above = {str(root): {os.path.realpath(root)}}
    for folder, folders, files in os.walk(root, followlinks=True):
        known = above.pop(folder)
        entered = []
        for name in folders:
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            if not name.startswith(".") and real not in known:
                entered.append(name)
                above[path] = {*known, real}
        folders[:] = entered
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)


def _format_of(path: Path) -> str:
    try:
        with Image.open(path) as image:
            found = str(image.format).lower()
    except Exception as error:  # PIL reports a broken file with whatever it stumbled on
        raise DataError(
            f"image {path} is unreadable or truncated ({str(error) or type(error).__name__}); "
            f"copy it again, or take it out of the folder"
        ) from error
    return FORMATS.get(found, found)


def check_partners(folder: ImageFolder, other: ImageFolder, what: str, both: bool = False) -> None:
    """Make sure that every image has its partner.

    Args:
        folder: the images.
        other: where their partners are, files of the same name.
        what: what the partners are, for messages.
        both: also the other way round.

    Raises:
        DataError: some have none; names them.
    """
    for ours, theirs in ((folder, other), (other, folder))[: 2 if both else 1]:
        missing = [name for name in ours.files if name not in theirs.files]
        if missing:
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            raise DataError(
                f"{len(missing)} of {len(ours.files)} files of {ours.root} have no partner of the "
                f"same name in {theirs.root} ({what}): {', '.join(missing[:SHOWN])}{more}; add "
                f"them, rename them, or choose metrics that need no pairs (--metrics fid kid swd)"
            )


def read(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    """An image as (3, H, W) in [-1, 1].

    Args:
        path: its file.
        size: (H, W) to resize to, bicubic with antialiasing (Pillow); None keeps its own.

    Raises:
        DataError: the file cannot be read.
    """
    pixels = read_image(path)
    if size is not None and pixels.shape[:2] != size:
        resized = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        pixels = np.asarray(resized)
    return image_to_tensor(pixels)


def read_label_map(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    """Labels as (H, W) int64; resized with nearest where a size is given.

    Raises:
        DataError: the file cannot be read.
    """
    labels = read_labels(path, LABELS).astype(np.int32)
    if size is not None and labels.shape != size:
        resized = Image.fromarray(labels, mode=None)
        labels = np.asarray(resized.resize((size[1], size[0]), Image.Resampling.NEAREST))
    return torch.from_numpy(labels.astype(np.int64))


def check_one_size(images: Iterable[tuple[str, Tensor]], expected: tuple[int, int] | None) -> None:
    """Make sure that images are of one size.

    Args:
        images: file and image (..., H, W).
        expected: the size; None takes the first image's.

    Raises:
        DataError: one has another size; names file and sizes.
    """
    for name, image in images:
        size = (int(image.shape[-2]), int(image.shape[-1]))
        expected = expected or size
        if size != expected:
            raise DataError(
                f"{name} is {size[0]}x{size[1]}, but the first image is "
                f"{expected[0]}x{expected[1]}; images to be compared must be of one size: resize "
                f"them, or say --resize HEIGHTxWIDTH, which the passport tells"
            )
