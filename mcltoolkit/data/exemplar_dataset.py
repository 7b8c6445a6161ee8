"""The data set of label-conditioned samples that all layouts on disk end in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from mcltoolkit.data.draws import Draw, check_seed, resolve_draw
from mcltoolkit.data.exemplars import ExemplarChoice
from mcltoolkit.data.images import image_to_tensor, labels_to_tensor, read_image, read_labels
from mcltoolkit.data.palette import class_palette
from mcltoolkit.data.transforms import Geometry
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.structures import Sample

Step = Mapping[str, Any]
Colours = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Picture:
    """An image file with its label file."""

    name: str
    image: str
    labels: str


@dataclass(frozen=True)
class Record:
    """A condition, whose image is the truth, and its retrieved exemplars, best first."""

    condition: Picture
    exemplars: tuple[Picture, ...] = ()


class ExemplarDataset(Dataset[Sample]):
    """Samples from records of files.

    Condition and truth share one draw of the geometry; the exemplar has another, also where it
    is the truth itself.

    Args:
        records: what there is; at least one.
        num_classes: K; label values lie in 0..K-1.
        classes: K names; None numbers them.
        palette: K display colours, RGB in 0..255; None generates them.
        ignore_label: the class in 0..K-1 that means "unknown", if there is one.
        label_map: label values to replace when reading, such as {255: 0}.
        geometry: steps for condition and truth, see `Geometry`; give all pictures one size.
        exemplar_geometry: steps for the exemplar; None uses the same steps.
        exemplar_choice: see `ExemplarChoice`; a mode's name or a dict of its arguments will do.
        seed: of all random choices.

    Raises:
        ConfigError: a setting is not allowed, or mode `first` meets a record without exemplars.
        DataError: there are no records.
    """

    def __init__(
        self,
        records: Sequence[Record],
        num_classes: int,
        classes: Sequence[str] | None = None,
        palette: Colours | None = None,
        ignore_label: int | None = None,
        label_map: Mapping[int, int] | None = None,
        geometry: Iterable[Step] = (),
        exemplar_geometry: Iterable[Step] | None = None,
        exemplar_choice: ExemplarChoice | Mapping[str, Any] | str = "recipe",
        seed: int = 0,
    ) -> None:
        if not records:
            raise DataError("the data set has 0 samples; at least 1 is needed: check data_root")
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
        self.records = list(records)
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.label_map = dict(label_map or {})
        self.classes = list(classes or (f"class {k}" for k in range(num_classes)))
        self.palette = [(c[0], c[1], c[2]) for c in palette or class_palette(num_classes)]
        self.geometry = Geometry(geometry)
        self.exemplar_geometry = (
            self.geometry if exemplar_geometry is None else Geometry(exemplar_geometry)
        )
        self.choice = ExemplarChoice.of(exemplar_choice)
        self.seed = check_seed(seed)
        if self.choice.mode == "first":
            without = [r.condition.name for r in self.records if not r.exemplars]
            if without:
                raise ConfigError(
                    f"exemplar_choice mode 'first' needs an exemplar for each condition, "
                    f"{len(without)} of {len(self.records)} have none ({few(without)}); set "
                    f"exemplar_list, or mode 'self'"
                )

    @property
    def metainfo(self) -> dict[str, Any]:
        """What metrics and pictures need: classes, palette, num_classes, ignore_label."""
        return {
            "classes": list(self.classes),
            "palette": list(self.palette),
            "num_classes": self.num_classes,
            "ignore_label": self.ignore_label,
        }

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, item: int | Draw) -> Sample:
        """The sample of an index, always the same, or of a draw, anew for each draw number.

        Raises:
            DataError: a file is broken, or label and image differ in size; the message names it.
        """
        index, _, rng = resolve_draw(item, len(self), self.seed)
        record = self.records[index]
        picked = self.choice.pick(len(record.exemplars), rng)
        source = self._read(record.condition)
        truth, labels = self.geometry(*source, rng, name=record.condition.image)
        exemplar = record.condition
        if picked is not None:
            exemplar = record.exemplars[picked]
            source = self._read(exemplar)
        image, exemplar_labels = self.exemplar_geometry(*source, rng, name=exemplar.image)
        return Sample(
            name=record.condition.name,
            exemplar=image_to_tensor(image),
            labels=labels_to_tensor(labels),
            truth=image_to_tensor(truth),
            exemplar_labels=labels_to_tensor(exemplar_labels),
            exemplar_name=exemplar.name,
            paired=picked is None,
        )

    def _read(self, picture: Picture) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(picture.image)
        labels = read_labels(picture.labels, self.num_classes, self.label_map)
        if image.shape[:2] != labels.shape:
            raise DataError(
                f"image {picture.image} has {image.shape[0]}x{image.shape[1]} pixels (height x "
                f"width), its label map {picture.labels} has {labels.shape[0]}x{labels.shape[1]}; "
                f"both must agree: resize one of the files"
            )
        return image, labels


def few(names: Sequence[str], shown: int = 5) -> str:
    """The first few names and how many more there are, for a message."""
    more = f", ... {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
