"""Two margins to compare the additive angular one with, as drop-ins for its loss.

cos(theta + m) of ArcFace, which MCL-Net takes, widens a positive pair's angle by a constant; the
cosine margin (CosFace, Wang et al., CVPR 2018) lowers its cosine by a constant, s - m; the
multiplicative angular margin (SphereFace, Liu et al., CVPR 2017) widens the angle by a factor,
cos(m theta), continued so that it goes on falling.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from mcltoolkit import LOSSES
from mcltoolkit.losses import MarginalContrastiveLoss

# Cosines closer to 1 than this are not put through arccos, whose slope is infinite there.
EDGE = 1 - 5e-7


def cosine_margin(cosine: Tensor, margin: float) -> Tensor:
    """s - m; exactly s for m = 0.

    Args:
        cosine: any shape.
        margin: m >= 0.
    """
    return cosine if margin == 0 else cosine - margin


def multiplicative_margin(cosine: Tensor, margin: float) -> Tensor:
    """psi(theta) = (-1)^k cos(m theta) - 2k for theta in [k pi / m, (k + 1) pi / m].

    The formula is continuous and falls with the angle for every real m >= 1, so m may be scheduled;
    it is exactly s for m = 1. Next to |s| = 1 the curve goes on as a line of its last slope, which
    keeps the gradient finite.

    Args:
        cosine: any shape, in [-1, 1] up to rounding.
        margin: m >= 1, a factor.
    """
    if margin == 1:
        return cosine
    inner = cosine.clamp(-EDGE, EDGE)
    angle = margin * inner.arccos()
    lap = (angle.detach() / math.pi).floor()
    psi = (1 - 2 * lap.remainder(2)) * angle.cos() - 2 * lap
    slope = torch.where(
        cosine > 0, _slope(math.acos(EDGE), margin), _slope(math.acos(-EDGE), margin)
    )
    return psi + slope.to(psi.dtype) * (cosine - inner)


def _slope(theta: float, margin: float) -> float:
    """d psi / d s at an angle; at least 1, since it vanishes where two pieces of psi meet."""
    return max(1.0, margin * abs(math.sin(margin * theta)) / math.sin(theta))


@LOSSES.register_module()
class CosineMarginContrastiveLoss(MarginalContrastiveLoss):
    """`MarginalContrastiveLoss` with the cosine margin: a positive pair's s counts as s - m.

    Args:
        weight, temperature: as there.
        margin: m in [0, 2]; 0 is InfoNCE. 0.35 is CosFace's choice for faces.
        settings: all other settings of `MarginalContrastiveLoss`, `margin_schedule` among them.

    Raises:
        ConfigError: a setting outside its range.
    """

    margin_range: ClassVar[tuple[float, float]] = (0.0, 2.0)
    margin_unit: ClassVar[str] = "differences of cosines in [0, 2]"

    def __init__(
        self,
        weight: float = 0.01,
        temperature: float = 0.07,
        margin: float = 0.35,
        **settings: Any,
    ) -> None:
        super().__init__(weight, temperature, margin, **settings)

    def apply_margin(self, cosine: Tensor, margin: float) -> Tensor:
        """See `cosine_margin`."""
        return cosine_margin(cosine, margin)


@LOSSES.register_module()
class MultiplicativeMarginContrastiveLoss(MarginalContrastiveLoss):
    """`MarginalContrastiveLoss` with the multiplicative angular margin: s counts as psi(theta).

    SphereFace eases its m = 4 in by mixing psi with the cosine; here `margin_schedule` raises m
    itself, from 1. The slope of psi vanishes at theta = k pi / m: with m = 2 at right angles, where
    untrained pairs lie.

    Args:
        weight, temperature: as there.
        margin: m in [1, 4]; 1 is InfoNCE. 1.35 is what ArcFace's authors compare with.
        settings: all other settings of `MarginalContrastiveLoss`, `margin_schedule` among them.

    Raises:
        ConfigError: a setting outside its range.
    """

    no_margin: ClassVar[float] = 1.0
    margin_range: ClassVar[tuple[float, float]] = (1.0, 4.0)
    margin_unit: ClassVar[str] = "factors in [1, 4]"

    def __init__(
        self,
        weight: float = 0.01,
        temperature: float = 0.07,
        margin: float = 1.35,
        **settings: Any,
    ) -> None:
        super().__init__(weight, temperature, margin, **settings)

    def apply_margin(self, cosine: Tensor, margin: float) -> Tensor:
        """See `multiplicative_margin`."""
        return multiplicative_margin(cosine, margin)
