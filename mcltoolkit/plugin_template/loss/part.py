"""The output has the exemplar's mean colour.

Replace this with your idea and its source.
"""

from torch import Tensor

from mcltoolkit import LOSSES
from mcltoolkit.layers import at_least_float32
from mcltoolkit.losses.base import Loss
from mcltoolkit.structures import Translation


def mean_colour_distance(image: Tensor, other: Tensor) -> Tensor:
    """Absolute difference of the mean colours of (B, 3, H, W) images in [-1, 1]; a scalar in
    [0, 2]."""
    # a mean over many pixels is not taken in half precision
    colours = [at_least_float32(x).mean(dim=(2, 3)) for x in (image, other)]
    return (colours[0] - colours[1]).abs().mean()


@LOSSES.register_module()
class MyPart(Loss):
    """`mean_colour_distance` of output and exemplar.

    A loss reads the fields of `Translation`. What is not always there (`truth`, `labels`,
    `warped_labels`, `image_features`, ...) it names in a class attribute `requires` and gets by
    `translation.need(NAME)`; see `mcltoolkit.losses.base.Loss`.

    Args:
        weight: factor in the objective, >= 0; the toolkit multiplies by it.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)

    def forward(self, translation: Translation) -> Tensor:
        """Unweighted scalar."""
        return mean_colour_distance(translation.fake, translation.batch.exemplar)
