"""DeepFashion, In-shop Clothes Retrieval (Liu et al., CVPR 2016), as CoCosNet uses it: pose to
person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from mcltoolkit.data.exemplar_dataset import RecordDataset, Step
from mcltoolkit.data.exemplars import ExemplarChoice
from mcltoolkit.data.listed import Layout, find, listed_records, read_named_lines
from mcltoolkit.data.poses import PoseMaps
from mcltoolkit.data.records import Picture, Record
from mcltoolkit.registry import DATASETS

PHOTOS, POSES = "img", "pose"
OWN_VIEWS = ExemplarChoice(retrieved=0.0)


class PersonLayout(Layout):
    """Photos below `img`, poses of the same path below `pose`; a name is that path, bare."""

    form = "photos such as img/WOMEN/Dresses/id_00000203/03_1_front.jpg (or with backslashes)"

    def __init__(self, data_root: str | Path) -> None:
        super().__init__(data_root, (PHOTOS, POSES))

    def name(self, written: str) -> str | None:
        """The path below `img`, without suffix."""
        path = PurePosixPath(written)
        if path.parts[:1] != (PHOTOS,) or ".." in path.parts or path.suffix != ".jpg":
            return None
        return str(path.relative_to(PHOTOS).with_suffix(""))

    def picture(self, name: str) -> Picture:
        """The photo, and what its pose files begin with."""
        return Picture(name, str(self.root / PHOTOS / f"{name}.jpg"), str(self.root / POSES / name))

    def missing(self, name: str) -> Path | None:
        """The photo or a pose file."""
        pose = self.root / POSES
        files = (
            self.root / PHOTOS / f"{name}.jpg",
            pose / f"{name}_candidate.txt",
            pose / f"{name}_subset.txt",
        )
        return next((file for file in files if not self.exists(file)), None)


@DATASETS.register_module()
class DeepFashion(RecordDataset):
    """Pose to person: 20 channels from OpenPose's text files, see `PoseMaps`.

        img/.../id_NNNNNNNN/SHOT.jpg                   photos
        pose/.../id_NNNNNNNN/SHOT_candidate.txt         detected joints
        pose/.../id_NNNNNNNN/SHOT_subset.txt            which joint is which
        train.txt, val.txt                             photos, one a line: img/.../SHOT.jpg

    In training the exemplar is the truth itself or, with `pair_list`, another view of the same
    person. Leave flips out of the geometry: they would exchange left and right.

    Args:
        data_root: the folder of it all.
        split: `training` (train.txt) or `validation` (val.txt).
        exemplar_list: file below `data_root`, such as CoCosNet's `deepfashion_ref_test.txt`.
        exemplar_split: the split that the listed exemplars must belong to; None takes any photo.
        pair_list: file below `data_root`, such as CoCosNet's `deepfashion_self_pair.txt`, with
            lines `photo,view1,view2,...`. The first view counts, as in the released code, where it
            shows the same person in the same clothes (`same_clothes`); other photos are their own
            exemplars.
        max_samples: use the first so many; None uses all.
        geometry, exemplar_geometry, exemplar_choice, seed: see `RecordDataset`. The default
            choice never takes a listed exemplar, as in the released training.

    Raises:
        DataError: a file is missing or malformed; the message names it.
        ConfigError: a setting is not allowed.
    """

    def __init__(
        self,
        data_root: str | Path,
        split: str = "training",
        exemplar_list: str | None = None,
        exemplar_split: str | None = None,
        pair_list: str | None = None,
        geometry: Iterable[Step] = (),
        exemplar_geometry: Iterable[Step] | None = None,
        exemplar_choice: ExemplarChoice | Mapping[str, Any] | str = OWN_VIEWS,
        max_samples: int | None = None,
        seed: int = 0,
    ) -> None:
        layout = PersonLayout(data_root)
        self.data_root, self.split = layout.root, split
        records = listed_records(layout, split, exemplar_list, exemplar_split, max_samples)
        if pair_list is not None:
            records = with_pairs(records, layout, layout.root / pair_list.format(split=split))
        super().__init__(records, PoseMaps(), geometry, exemplar_geometry, exemplar_choice, seed)


def same_clothes(name: str, other: str) -> bool:
    """Whether two photos are of one folder (person and article) and one number (colour).

    `.../id_00000265/01_1_front` and `.../id_00000265/01_2_side` are, `.../02_2_side` is not.
    """
    (folder, _, shot), (other_folder, _, other_shot) = name.rpartition("/"), other.rpartition("/")
    return folder == other_folder and shot.split("_")[0] == other_shot.split("_")[0]


def with_pairs(records: Sequence[Record], layout: Layout, path: Path) -> list[Record]:
    """The records with the other views that a pair list names.

    Raises:
        DataError: the list is missing or malformed, or names a photo that is not there.
    """
    lines = read_named_lines(path, layout, "pair_list")
    paired = []
    for record in records:
        name, view = record.condition.name, None
        if name in lines:
            first = lines[name].exemplars[0]
            other = layout.name(first)
            if other is None or same_clothes(name, other):
                view = layout.picture(find(layout, first, path, lines[name]))
        paired.append(replace(record, pair=view))
    return paired
