"""Marginal contrastive learning, the heart of MCL-Net (Zhan et al., CVPR 2022).

A position of the condition and the same position of its ground-truth image are a positive pair,
other positions are negatives: InfoNCE (van den Oord et al., 2018), with the additive angular margin
of ArcFace (Deng et al., CVPR 2019) on the positive pair only, and CUT's projection head (Park et
al., ECCV 2020). Value and gradient are finite for every input and every position count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.errors import ConfigError
from mcltoolkit.losses.base import Loss
from mcltoolkit.losses.positions import draw_positions
from mcltoolkit.precision import at_least_float32
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import Translation

# Floor of 1 - s^2, about its float32 rounding near |s| = 1: the slope of the margin stays under
# cos m + 1000 sin m.
MIN_SINE_SQUARED = 1e-6
# Shorter vectors are not stretched to unit length: the gradient of a zero vector stays finite,
# in float16 too.
MIN_NORM = 1e-3

# (cosine of any shape, margin) -> what takes its place; the cosine itself where nothing changes.
Margin = Callable[[Tensor, float], Tensor]

DIRECTIONS = ("condition_to_image", "image_to_condition", "both")
NEGATIVES = ("image", "batch")
RELEASED: Mapping[str, Any] = {
    "weight": 0.01,
    "temperature": 0.05,
    "margin": 0.25,
    "positions": 64,
    "shared_positions": True,
    "detach": "image",
    "head": None,
    "features": "encoder",
}


def angular_margin(cosine: Tensor, margin: float) -> Tensor:
    """cos(theta + m) for s = cos(theta): s cos m - sqrt(1 - s^2) sin m; exactly s for m = 0.

    Where theta + m would pass pi, the curve goes on as the line s - 1 + cos m: continuous and
    rising, so that a pair further apart always costs more. Next to |s| = 1, where the slope is
    infinite, 1 - s^2 is kept from vanishing.

    Args:
        cosine: any shape, in [-1, 1] up to rounding.
        margin: m in radians, in [0, pi/2].
    """
    if margin == 0:
        return cosine
    sine = (1 - cosine.square()).clamp_min(MIN_SINE_SQUARED).sqrt()
    inside = cosine * math.cos(margin) - sine * math.sin(margin)
    beyond = cosine - 1 + math.cos(margin)
    return torch.where(cosine < -math.cos(margin), beyond, inside)


def marginal_contrastive(
    anchor: Tensor,
    positive: Tensor,
    temperature: float,
    margin: float,
    negatives: str = "image",
    apply_margin: Margin = angular_margin,
) -> Tensor:
    """-mean_i log( P_i / (P_i + sum_{j!=i} e^{cos(theta_ij)/t}) ), P_i = e^{cos(theta_ii + m)/t}.

    Computed in float32 (float64 for float64 input), also under autocast, in memory linear in the
    positions.

    Args:
        anchor, positive: (B, N, D); row i of one belongs to row i of the other. Any length: they
            are scaled to unit length here (vectors shorter than 1e-3 stay shorter).
        temperature: t, > 0.
        margin: m in radians, in [0, pi/2]; what another `apply_margin` takes there.
        negatives: positives of other rows of the same `image`, or of the whole `batch`.
        apply_margin: (cosines of the positive pairs (B, N), m) -> what stands for cos(theta + m).

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the two shapes differ, or `negatives` is unknown.
    """
    if anchor.shape != positive.shape or anchor.ndim != 3:
        raise ValueError(
            f"anchor and positive must have one shape (B, N, D), found {tuple(anchor.shape)} and "
            f"{tuple(positive.shape)}"
        )
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives is {negatives!r}; allowed are {', '.join(NEGATIVES)}")
    if negatives == "batch":
        anchor, positive = (x.flatten(0, 1).unsqueeze(0) for x in (anchor, positive))
    with torch.autocast(anchor.device.type, enabled=False):
        a, p = (F.normalize(at_least_float32(x), dim=2, eps=MIN_NORM) for x in (anchor, positive))
        own = apply_margin((a * p).sum(dim=2), margin) / temperature
        return (ops.contrast_sums(a, p, own, 1 / temperature) - own).mean()


class ProjectionHead(nn.Module):
    """Two-layer MLP on unit-length features (B, N, D) -> (B, N, hidden).

    Features are multiplied by sqrt(D) first: their entries then have size 1, the size that the
    initialisation of a linear layer reckons with; at unit length the biases would drown them.

    Args:
        in_channels: D.
        hidden: units of each layer.
    """

    def __init__(self, in_channels: int, hidden: int = 256) -> None:
        super().__init__()
        self.scale = math.sqrt(in_channels)
        self.layers = nn.Sequential(
            nn.Linear(in_channels, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Projected features; not of unit length."""
        projected: Tensor = self.layers(features * self.scale)
        return projected


@LOSSES.register_module()
class MarginalContrastiveLoss(Loss):
    """Marginal contrastive loss between the condition and its ground-truth image.

    Defaults are the supplement's where it gives a value (temperature, MLP head), else the released
    code's (margin, weight). `released()` gives the released code's form as a whole.

    A subclass with another margin overrides `apply_margin`, `no_margin` and `margin_range`; one
    with another contrast overrides `contrast`.

    Class attributes:
        no_margin: the margin that leaves InfoNCE; a schedule starts from it.
        margin_range: lowest and highest margin.
        margin_unit: the same in words, for the error message.

    Args:
        weight: released value 0.01; to be tuned.
        temperature: 0.07 in the supplement, 0.05 in the released code.
        margin: m in radians, in [0, pi/2]; 0 is InfoNCE. A margin from the first step delays the
            learning: see `margin_schedule`.
        margin_schedule: dict(begin=0.4, end=0.7), shares of the training: no margin before
            `begin`, then rising linearly to `margin` at `end`. None: constant.
        positions: number of positions drawn at random, without replacement; None takes all, and
            so does a number above the map's.
        shared_positions: draw once for the whole batch, else for each image.
        head: `mlp` (two layers) or None, none.
        hidden: units of each layer of the head.
        shared_head: one head for both sides, else one a side.
        in_channels: channels of the features; the objective fills it in.
        detach: `image` or `condition`: that encoder gets no gradient; None trains both.
        direction: which side is the anchor; `both` is the mean of the two.
        negatives: other positions of the same `image`, or of the whole `batch` on this device.
        features: `descriptors` (what is matched, with the self-correlation where there is one) or
            `encoder` (the encoders' features alone).

    Raises:
        ConfigError: a setting outside its range, or a head without `in_channels`.
    """

    requires = frozenset({"truth", "truth_features"})
    needs_channels = True
    no_margin: ClassVar[float] = 0.0
    margin_range: ClassVar[tuple[float, float]] = (0.0, math.pi / 2)
    margin_unit: ClassVar[str] = "radians in [0, pi/2]"

    def __init__(
        self,
        weight: float = 0.01,
        temperature: float = 0.07,
        margin: float = 0.25,
        margin_schedule: Mapping[str, float] | None = None,
        positions: int | None = None,
        shared_positions: bool = True,
        head: str | None = "mlp",
        hidden: int = 256,
        shared_head: bool = True,
        in_channels: int | None = None,
        detach: str | None = None,
        direction: str = "condition_to_image",
        negatives: str = "image",
        features: str = "descriptors",
    ) -> None:
        super().__init__(weight)
        low, high = self.margin_range
        self._check("temperature", temperature, temperature > 0, "values > 0")
        self._check("margin", margin, low <= margin <= high, self.margin_unit)
        self._check(
            "positions", positions, positions is None or positions > 0, "None or an int > 0"
        )
        self._check("hidden", hidden, hidden > 0, "an int > 0")
        for name, value, allowed in (
            ("head", head, ("mlp", None)),
            ("detach", detach, (None, "image", "condition")),
            ("direction", direction, DIRECTIONS),
            ("negatives", negatives, NEGATIVES),
            ("features", features, ("descriptors", "encoder")),
        ):
            self._check(name, value, value in allowed, ", ".join(map(repr, allowed)))
        self.temperature = temperature
        self.margin = margin
        self.margin_schedule = self._checked_schedule(margin_schedule)
        self.positions = positions
        self.shared_positions = shared_positions
        self.detach = detach
        self.direction = direction
        self.negatives = negatives
        self.features = features
        self.head: nn.Module | None = None
        self.image_head: nn.Module | None = None
        if head == "mlp":
            if in_channels is None:
                raise ConfigError(
                    f"{type(self).__name__} has head='mlp' but no in_channels; give the channels "
                    f"of the features, or head=None"
                )
            self.head = ProjectionHead(in_channels, hidden)
            self.image_head = None if shared_head else ProjectionHead(in_channels, hidden)

    @classmethod
    def released(cls, **overrides: Any) -> MarginalContrastiveLoss:
        """The form of the authors' released code, `RELEASED`, with `overrides`."""
        return cls(**{**RELEASED, **overrides})

    def current_margin(self, progress: float) -> float:
        """The margin when the share `progress` of the training is done."""
        if self.margin_schedule is None:
            return self.margin
        begin, end = self.margin_schedule
        if progress >= end:
            return self.margin
        share = max(0.0, progress - begin) / (end - begin) if end > begin else 0.0
        return self.no_margin + (self.margin - self.no_margin) * share

    def apply_margin(self, cosine: Tensor, margin: float) -> Tensor:
        """What a positive pair's cosine (any shape) counts as; itself for `no_margin`."""
        return angular_margin(cosine, margin)

    def contrast(self, anchor: Tensor, positive: Tensor, margin: float) -> Tensor:
        """Scalar for features (B, N, D) of the drawn positions, after the head."""
        return marginal_contrastive(
            anchor, positive, self.temperature, margin, self.negatives, self.apply_margin
        )

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: mean over the batch and the drawn positions."""
        kind = "descriptors" if self.features == "descriptors" else "features"
        condition: Tensor = translation.need(f"condition_{kind}")
        image: Tensor = translation.need(f"truth_{kind}")
        if self.detach == "condition":
            condition = condition.detach()
        if self.detach == "image":
            image = image.detach()
        with torch.autocast(image.device.type, enabled=False):
            x, y = self._sample(condition, image)
            if self.head is not None:
                image_head = self.head if self.image_head is None else self.image_head
                x, y = self.head(x), image_head(y)
            pairs = {
                "condition_to_image": [(x, y)],
                "image_to_condition": [(y, x)],
                "both": [(x, y), (y, x)],
            }[self.direction]
            margin = self.current_margin(translation.progress)
            return torch.stack([self.contrast(a, p, margin) for a, p in pairs]).mean()

    def _sample(self, condition: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, h, w) maps -> (B, P, D) features of the same positions, float32."""
        return draw_positions(condition, image, self.positions, self.shared_positions)

    def _checked_schedule(self, schedule: Mapping[str, float] | None) -> tuple[float, float] | None:
        if schedule is None:
            return None
        found = dict(schedule)
        keys_fit = set(found) == {"begin", "end"}
        fits = keys_fit and 0 <= found["begin"] <= found["end"] <= 1
        allowed = "dict(begin=..., end=...) with 0 <= begin <= end <= 1"
        self._check("margin_schedule", found, fits, allowed)
        return float(found["begin"]), float(found["end"])

    def _check(self, name: str, value: object, fits: bool, allowed: str) -> None:
        if not fits:
            raise ConfigError(f"{type(self).__name__}.{name} is {value!r}; allowed: {allowed}")
