"""Self-warp loss: an exemplar that is the truth itself must be warped onto the truth.

CoCosNet's additional term for DeepFashion, where the warp moves patches of full resolution.
"""

from __future__ import annotations

from mcltoolkit.losses.pseudo_pair import PixelPseudoPairLoss
from mcltoolkit.registry import LOSSES


@LOSSES.register_module()
class SelfWarpLoss(PixelPseudoPairLoss):
    """L1 of the warped exemplar against the truth, averaged over paired samples.

    Args:
        weight: released value 100 (DeepFashion).
        released: divide by the batch size once more, see `paired_mean`.
    """

    def __init__(self, weight: float = 100.0, released: bool = False) -> None:
        super().__init__(weight, image="warped", released=released)
