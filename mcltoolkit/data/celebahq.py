"""CelebAMask-HQ (Lee et al., CVPR 2020) as CoCosNet uses it: edges to face, and mask to face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mcltoolkit.data.conditions import Colours
from mcltoolkit.data.exemplar_dataset import RecordDataset, Step
from mcltoolkit.data.exemplars import ExemplarChoice
from mcltoolkit.data.face_edges import PARTS, FaceEdges
from mcltoolkit.data.face_masks import IDS_A_FOLDER, FaceMasks
from mcltoolkit.data.listed import Layout, listed_records
from mcltoolkit.data.records import Picture
from mcltoolkit.registry import DATASETS

PHOTOS, MASKS, COMBINED = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "all_parts_except_glasses"


class FaceLayout(Layout):
    """Photos and part masks by the photo's number."""

    form = "numbers of photos such as 5487 (5487.jpg in exemplar lists)"

    def __init__(self, data_root: str | Path, *needed: str) -> None:
        super().__init__(data_root, (PHOTOS, MASKS, *needed))

    def name(self, written: str) -> str | None:
        """The number without leading zeros."""
        digits = written.removesuffix(".jpg")
        return str(int(digits)) if digits.isascii() and digits.isdecimal() else None

    def picture(self, name: str) -> Picture:
        """The photo, and what its part masks begin with."""
        return Picture(name, str(self._photo(name)), str(self._parts(name)))

    def missing(self, name: str) -> Path | None:
        """The photo; or the first part's mask, where there is none of any part."""
        if not self.exists(self._photo(name)):
            return self._photo(name)
        begin = self._parts(name)
        if any(self.exists(Path(f"{begin}_{part}.png")) for part in PARTS):
            return None
        return Path(f"{begin}_{PARTS[0]}.png")

    def _photo(self, name: str) -> Path:
        return self.root / PHOTOS / f"{name}.jpg"

    def _parts(self, name: str) -> Path:
        return self.root / MASKS / str(int(name) // IDS_A_FOLDER) / f"{int(name):05d}"


class CombinedFaceLayout(FaceLayout):
    """Photos and combined label maps by the photo's number."""

    def __init__(self, data_root: str | Path) -> None:
        super().__init__(data_root, f"{MASKS}/{COMBINED}")

    def picture(self, name: str) -> Picture:
        """The photo and its combined label map."""
        return Picture(name, str(self._photo(name)), str(self._labels(name)))

    def missing(self, name: str) -> Path | None:
        """The photo or the combined label map."""
        files = (self._photo(name), self._labels(name))
        return next((file for file in files if not self.exists(file)), None)

    def _labels(self, name: str) -> Path:
        return self.root / MASKS / COMBINED / f"{int(name):05d}.png"


@DATASETS.register_module()
class CelebAHQEdges(RecordDataset):
    """Edges to face: 15 channels from the photo and its part masks, see `FaceEdges`.

        CelebA-HQ-img/N.jpg                                photos
        CelebAMask-HQ-mask-anno/{N // 2000}/NNNNN_PART.png  part masks; a hidden part has none
        train.txt, val.txt                                 numbers, one a line

    Args:
        data_root: the folder of it all.
        split: `training` (train.txt) or `validation` (val.txt).
        exemplar_list: file below `data_root`, such as CoCosNet's `celebahq_ref.txt` (training) and
            `celebahq_ref_test.txt`; None makes each photo its own exemplar.
        exemplar_split: the split that the listed exemplars must belong to; None takes any photo.
        max_samples: use the first so many; None uses all.
        geometry, exemplar_geometry, exemplar_choice, seed: see `RecordDataset`. The first step
            should be a `PILResize`: edges are computed at its size, before crops and flips.

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
        geometry: Iterable[Step] = (),
        exemplar_geometry: Iterable[Step] | None = None,
        exemplar_choice: ExemplarChoice | Mapping[str, Any] | str = "recipe",
        max_samples: int | None = None,
        seed: int = 0,
    ) -> None:
        layout = FaceLayout(data_root)
        self.data_root, self.split = layout.root, split
        super().__init__(
            listed_records(layout, split, exemplar_list, exemplar_split, max_samples),
            FaceEdges(),
            geometry,
            exemplar_geometry,
            exemplar_choice,
            seed,
        )


@DATASETS.register_module()
class CelebAHQMasks(RecordDataset):
    """Mask to face: 19 channels, glasses over the parts behind them, see `FaceMasks`.

        CelebA-HQ-img/N.jpg                                              photos
        CelebAMask-HQ-mask-anno/all_parts_except_glasses/NNNNN.png        class numbers 0..18
        CelebAMask-HQ-mask-anno/{N // 2000}/NNNNN_eye_g.png               glasses, if worn
        train.txt, val.txt                                               numbers, one a line

    Samples have the labels of the combined file, for the mask loss, and the dense condition.

    Args:
        palette: 19 display colours, RGB in 0..255; None generates them.
        data_root, split, exemplar_list, exemplar_split, max_samples, geometry: see
            `CelebAHQEdges`.
        exemplar_geometry, exemplar_choice, seed: see `CelebAHQEdges`.

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
        palette: Colours | None = None,
        geometry: Iterable[Step] = (),
        exemplar_geometry: Iterable[Step] | None = None,
        exemplar_choice: ExemplarChoice | Mapping[str, Any] | str = "recipe",
        max_samples: int | None = None,
        seed: int = 0,
    ) -> None:
        layout = CombinedFaceLayout(data_root)
        self.data_root, self.split = layout.root, split
        super().__init__(
            listed_records(layout, split, exemplar_list, exemplar_split, max_samples),
            FaceMasks(palette),
            geometry,
            exemplar_geometry,
            exemplar_choice,
            seed,
        )
