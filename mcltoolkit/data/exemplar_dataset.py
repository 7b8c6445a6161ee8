"""The data sets that all layouts on disk end in: records of files become samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from mcltoolkit.data.conditions import Colours, ConditionSource, LabelMaps
from mcltoolkit.data.draws import Draw, check_seed, resolve_draw
from mcltoolkit.data.exemplars import ExemplarChoice
from mcltoolkit.data.images import image_to_tensor
from mcltoolkit.data.records import Record, few
from mcltoolkit.data.transforms import Geometry
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.structures import Sample

Step = Mapping[str, Any]


class RecordDataset(Dataset[Sample]):
    """Samples from records of files, whatever their condition is.

    Condition and truth share one draw of the geometry; the exemplar has another, also where it
    is the truth itself. A flip moves pixels alone: channels of a left and a right part keep their
    names, as in CoCosNet.

    Args:
        records: what there is; at least one.
        source: how conditions are read.
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
        source: ConditionSource,
        geometry: Iterable[Step] = (),
        exemplar_geometry: Iterable[Step] | None = None,
        exemplar_choice: ExemplarChoice | Mapping[str, Any] | str = "recipe",
        seed: int = 0,
    ) -> None:
        if not records:
            raise DataError("the data set has 0 samples; at least 1 is needed: check data_root")
        self.records = records
        self.source = source
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
    def num_channels(self) -> int:
        """C, channels of the condition: what `model.condition_channels` must be."""
        return self.source.num_channels

    @property
    def metainfo(self) -> dict[str, Any]:
        """What metrics and pictures need, see the source's."""
        return self.source.metainfo

    def __len__(self) -> int:
        return len(self.records)

    def files(self, index: int) -> list[str]:
        """What a sample may be read from: the condition's files first, then the exemplars'."""
        record = self.records[index]
        pictures = [record.condition, *record.exemplars, *([record.pair] if record.pair else [])]
        return [file for picture in pictures for file in (picture.image, picture.labels)]

    def __getitem__(self, item: int | Draw) -> Sample:
        """The sample of an index, always the same, or of a draw, anew for each draw number.

        Raises:
            DataError: a file is broken or does not fit the others; the message names it.
        """
        index, _, rng = resolve_draw(item, len(self), self.seed)
        record = self.records[index]
        picked = self.choice.pick(len(record.exemplars), rng)
        read = self.source.read(record.condition, self.geometry)
        truth, maps = self.geometry(*read, rng, name=record.condition.image)
        labels, condition = self.source.to_tensors(maps)
        if picked is not None:
            exemplar = record.exemplars[picked]
        elif record.pair is not None and self.choice.mode != "self":
            exemplar = record.pair
        else:
            exemplar = record.condition
        if exemplar is not record.condition or self.exemplar_geometry is not self.geometry:
            read = self.source.read(exemplar, self.exemplar_geometry)
        image, maps = self.exemplar_geometry(*read, rng, name=exemplar.image)
        exemplar_labels, exemplar_condition = self.source.to_tensors(maps)
        return Sample(
            name=record.condition.name,
            exemplar=image_to_tensor(image),
            labels=labels,
            condition=condition,
            truth=image_to_tensor(truth),
            exemplar_labels=exemplar_labels,
            exemplar_condition=exemplar_condition,
            exemplar_name=exemplar.name,
            paired=picked is None,
        )


class ExemplarDataset(RecordDataset):
    """Samples whose condition is a label map.

    Args:
        records: what there is; at least one.
        num_classes, classes, palette, ignore_label, label_map: see `LabelMaps`.
        geometry, exemplar_geometry, exemplar_choice, seed: see `RecordDataset`.

    Raises:
        ConfigError, DataError: see `LabelMaps` and `RecordDataset`.
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
        source = LabelMaps(num_classes, classes, palette, ignore_label, label_map)
        super().__init__(records, source, geometry, exemplar_geometry, exemplar_choice, seed)
        self.num_classes = num_classes
        self.classes = source.classes
        self.palette = source.palette
        self.ignore_label = ignore_label
