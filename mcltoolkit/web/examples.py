"""What can be chosen on the page: label maps and exemplars of a folder, or synthetic scenes.

    FOLDER/NAME.jpg             a photo (exemplars) or a label map (conditions)
    FOLDER/labels/NAME.png      the exemplar's label map; .npy for models that take numbers

or the folders of a data set, ROOT/images/SPLIT with ROOT/annotations/SPLIT, or two of any names.

Nothing is fetched: a model of the synthetic scenes' classes gets scenes that are drawn here, any
other model only what a folder gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcltoolkit.data.scene_styles import PATTERNS
from mcltoolkit.data.scenes import SyntheticScenes
from mcltoolkit.errors import DataError
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.images import paint_condition, to_uint8
from mcltoolkit.web.canvas import Size
from mcltoolkit.web.limits import ARRAYS, ENDINGS, read_label_map, read_maps, read_photo

MOST = 60
SCENES = 12
LABELS = "labels"


@dataclass(frozen=True)
class Example:
    """Something to choose.

    Attributes:
        name: shown as a tip.
        picture: (H, W, 3) uint8: the exemplar, or the condition painted.
        condition: labels (H, W) or maps (C, H, W); of an exemplar its own, None where unknown.
    """

    name: str
    picture: Picture
    condition: np.ndarray | None = None


def has_scene_classes(model: TranslationModel) -> bool:
    """The model's classes are the first K patterns of the synthetic scenes."""
    names = model.classes or ()
    return 2 <= len(names) <= len(PATTERNS) and list(names) == list(PATTERNS)[: len(names)]


def scene_examples(
    model: TranslationModel, size: Size, count: int = SCENES
) -> tuple[list[Example], list[Example]]:
    """Conditions and exemplars of `count` synthetic test scenes of (H, W) pixels, all different."""
    scenes = SyntheticScenes("test", length=count, size=size, num_classes=model.channels)
    conditions, exemplars = [], []
    for index in range(count):
        scene = scenes[index]
        assert scene.labels is not None
        assert scene.exemplar_labels is not None
        labels = scene.labels.numpy()
        conditions.append(Example(f"layout {index + 1}", paint(labels, model), labels))
        theirs = scene.exemplar_labels.numpy()
        exemplars.append(Example(f"scene {index + 1}", to_uint8(scene.exemplar), theirs))
    return conditions, exemplars


def condition_examples(
    folder: str | Path, model: TranslationModel, say: Callable[[str], object] = print
) -> list[Example]:
    """The conditions of a folder: label maps, or `.npy` files where the model takes numbers.

    Raises:
        DataError: no such folder, nothing in it, or a file that the model cannot take.
    """
    endings = ENDINGS if model.condition_kind == "labels" else ARRAYS
    found = []
    for path in _files(Path(folder), endings, "--examples", say):
        condition = read_own_condition(path, model)
        found.append(Example(path.stem, paint(condition, model), condition))
    return found


def exemplar_examples(
    folder: str | Path,
    model: TranslationModel,
    labels: str | Path | None = None,
    say: Callable[[str], object] = print,
) -> list[Example]:
    """The exemplars of a folder, with their conditions where there are some.

    Args:
        folder: of the photos.
        model: which takes the conditions.
        labels: folder of the conditions; None: `label_folder` of the photos' folder.
        say: called with a line where not all files are shown.

    Raises:
        DataError: no such folder, no photo in it, or a file that cannot be read.
    """
    endings = ENDINGS if model.condition_kind == "labels" else ARRAYS
    found = []
    if labels is not None and not Path(labels).is_dir():
        raise DataError(f"--exemplar-labels {labels} is no folder; give one that exists")
    theirs = label_folder(Path(folder)) if labels is None else Path(labels)
    for path in _files(Path(folder), ENDINGS, "--exemplars", say):
        own = [theirs / f"{path.stem}{ending}" for ending in endings]
        own = [candidate for candidate in own if candidate.is_file()]
        condition = read_own_condition(own[0], model) if own else None
        found.append(Example(path.stem, read_photo(path), condition))
    return found


def label_folder(photos: Path) -> Path:
    """Where the label maps of a folder of photos lie: in its `labels`, or, of a data set's
    `images/SPLIT`, in `annotations/SPLIT`."""
    parts = photos.absolute().parts
    if not (photos / LABELS).is_dir() and "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        beside = Path(*parts[:place], "annotations", *parts[place + 1 :])
        if beside.is_dir():
            return beside
    return photos / LABELS


def read_own_condition(path: str | Path, model: TranslationModel) -> np.ndarray:
    """A condition of the kind that the model takes, labels (H, W) or maps (C, H, W).

    Raises:
        DataError: it cannot be taken.
    """
    if model.condition_kind == "labels":
        return read_label_map(path, model)
    return read_maps(path, model)


def paint(condition: np.ndarray, model: TranslationModel) -> Picture:
    """A condition as a picture (H, W, 3)."""
    import torch

    if condition.ndim == 2:
        return paint_condition(torch.from_numpy(condition.astype(np.int64)), None, model.palette)
    return paint_condition(None, torch.from_numpy(condition))


def _files(
    folder: Path, endings: tuple[str, ...], option: str, say: Callable[[str], object]
) -> Iterator[Path]:
    if not folder.is_dir():
        raise DataError(f"{option} {folder} is no folder; give one that exists")
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in endings)
    if not files:
        raise DataError(
            f"{option} {folder} holds no file that ends in {', '.join(endings)}; give a folder "
            f"with such files, or leave {option} out"
        )
    if len(files) > MOST:
        say(f"{option} {folder}: the first {MOST} of {len(files)} files are shown")
    yield from files[:MOST]
