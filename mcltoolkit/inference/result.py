"""What a translation gives back: pictures, and the prediction that they were cut from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from mcltoolkit.structures import Prediction
from mcltoolkit.visualization.images import to_uint8


@dataclass
class TranslationResult:
    """One translation.

    Attributes:
        prediction: one sample as the networks saw it, with the match: what pictures and the
            inspector read. Its height and width are multiples of the networks' stride: where the
            pictures were padded, it is larger than `image`, at the bottom and on the right, so
            that pixel (x, y) of `image` is pixel (x, y) of `prediction.fake`.
        size: (height, width) of the pictures.
        why: in words, why the translation has this size.
    """

    prediction: Prediction
    size: tuple[int, int]
    why: str = ""

    @property
    def array(self) -> np.ndarray:
        """The translated picture, (H, W, 3) uint8."""
        return to_uint8(self._cut(self.prediction.fake))

    @property
    def image(self) -> Image.Image:
        """The translated picture."""
        return Image.fromarray(self.array)

    @property
    def warped(self) -> Image.Image:
        """The exemplar in the condition's layout, as the match warps it."""
        return Image.fromarray(to_uint8(self._cut(self.prediction.warped)))

    def _cut(self, picture: Tensor) -> Tensor:
        return picture[..., : self.size[0], : self.size[1]]
