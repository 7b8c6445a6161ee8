"""Face parts as one map of classes, with glasses as a layer over it.

The 19 channels of the released CoCosNet for CelebA-HQ masks (Zhang et al., CVPR 2020): one-hot,
but where glasses lie, their channel is set beside that of the part behind them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcltoolkit.data.conditions import Colours, LabelMaps, Read, fit_mask, load_image
from mcltoolkit.data.images import labels_to_tensor, read_labels, read_region
from mcltoolkit.data.records import Picture
from mcltoolkit.data.transforms import Geometry
from mcltoolkit.errors import DataError

CLASSES = (
    "background", "skin", "hair", "l_brow", "r_brow", "l_eye", "r_eye", "l_ear", "r_ear", "nose",
    "u_lip", "mouth", "l_lip", "neck", "cloth", "hat", "eye_g", "ear_r", "neck_l",
)  # fmt: skip
"""l_ and r_ are the person's left and right; eye_g glasses, ear_r ear-ring, neck_l necklace."""

GLASSES = CLASSES.index("eye_g")
IDS_A_FOLDER = 2000


class FaceMasks(LabelMaps):
    """Labels from the combined file, and a dense condition that has the glasses too.

    The labels are those of the combined file, without glasses: the mask loss compares these, as
    the released code does. Background is the label that it ignores.

    Args:
        palette: 19 display colours, RGB in 0..255; None generates them.
    """

    def __init__(self, palette: Colours | None = None) -> None:
        super().__init__(len(CLASSES), CLASSES, palette, ignore_label=0)

    def read(self, picture: Picture, geometry: Geometry) -> Read:
        """Photo and maps (H, W, 2): label and glasses.

        Photo and masks may differ in size: both are brought to the size that the geometry begins
        with. No glasses are worn where there is no file for them.

        Raises:
            DataError: a file is broken or of another shape, or the combined file has the class of
                glasses.
        """
        stored, image = load_image(picture, geometry)
        labels = read_labels(picture.labels, self.num_channels, self.label_map)
        if (labels == GLASSES).any():
            raise DataError(
                f"label map {picture.labels}: value {GLASSES} (eye_g, glasses) found, allowed are "
                f"0..{self.num_channels - 1} without it; store the part behind the glasses, and "
                f"the glasses in {glasses_file(picture.labels)}"
            )
        path = glasses_file(picture.labels)
        glasses = np.zeros_like(image[..., 0])
        if path.is_file():
            glasses = fit_mask(read_region(path), path, stored, image)
        return image, np.dstack([fit_mask(labels, picture.labels, stored, image), glasses])

    def to_tensors(self, maps: np.ndarray) -> tuple[Tensor | None, Tensor | None]:
        """Labels (H, W), and the condition (19, H, W) with 0 and 1."""
        labels = labels_to_tensor(maps[..., 0])
        condition = torch.zeros(self.num_channels, *labels.shape)
        condition.scatter_(0, labels.unsqueeze(0), 1.0)
        condition[GLASSES] = torch.from_numpy(maps[..., 1].astype(np.float32))
        return labels, condition

    @property
    def metainfo(self) -> dict[str, Any]:
        """Those of label maps; `channels`: the dense condition has the classes' names; and
        `refused_labels`: no label map says what lies behind glasses."""
        return {**super().metainfo, "channels": list(CLASSES), "refused_labels": [GLASSES]}


def glasses_file(combined: str) -> Path:
    """The part mask of the glasses that belongs to a combined label file."""
    path = Path(combined)
    return path.parents[1] / str(int(path.stem) // IDS_A_FOLDER) / f"{path.stem}_eye_g.png"
