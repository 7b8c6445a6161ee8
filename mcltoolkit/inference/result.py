"""What a translation gives back: pictures, and the prediction that they were cut from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from mcltoolkit.data.transforms import pil_resize
from mcltoolkit.structures import Prediction
from mcltoolkit.visualization.images import to_uint8


@dataclass
class TranslationResult:
    """One translation.

    Attributes:
        prediction: one sample as the networks saw it, with the match: what pictures and the
            inspector read. Its height and width are multiples of the networks' stride: where the
            pictures were padded, it is larger than `image`, at the bottom and on the right, so
            that pixel (x, y) of `image` is pixel (x, y) of `prediction.fake`. Of several
            exemplars, `exemplar` has them side by side, and the match leads to all of them.
        size: (height, width) of the pictures.
        condition_size: (height, width) that the condition came with.
        why: in words, why the translation has this size.
    """

    prediction: Prediction
    size: tuple[int, int]
    condition_size: tuple[int, int]
    why: str = ""

    @property
    def name(self) -> str:
        """The condition's file, or `condition`."""
        return self.prediction.name

    @property
    def array(self) -> np.ndarray:
        """The translated picture, (H, W, 3) uint8."""
        return to_uint8(self._cut(self.prediction.fake))

    @property
    def image(self) -> Image.Image:
        """The translated picture."""
        return Image.fromarray(self.array)

    @property
    def warped_array(self) -> np.ndarray:
        """The exemplar in the condition's layout, as the match warps it, (H, W, 3) uint8."""
        return to_uint8(self._cut(self.prediction.warped))

    @property
    def warped(self) -> Image.Image:
        """As `warped_array`."""
        return Image.fromarray(self.warped_array)

    def at_condition_size(self, picture: np.ndarray | None = None) -> np.ndarray:
        """A picture of this result, default the translated one, resized (bicubic) to the size that
        the condition came with; a copy where it has that size."""
        given = self.array if picture is None else picture
        return pil_resize(given, *self.condition_size, Image.Resampling.BICUBIC)

    def _cut(self, picture: Tensor) -> Tensor:
        return picture[..., : self.size[0], : self.size[1]]
