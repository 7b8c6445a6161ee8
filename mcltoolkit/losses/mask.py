"""Mask loss: the exemplar's labels, warped by the match, should be the condition's labels.

The released CoCosNet code trains ADE20K and CelebA-HQ masks with it, weight 100.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses.base import Loss
from mcltoolkit.losses.paired import at_least_one
from mcltoolkit.precision import at_least_float32, without_autocast
from mcltoolkit.registry import LOSSES
from mcltoolkit.structures import Translation


def mask_nll(
    warped: Tensor,
    labels: Tensor,
    exemplar_labels: Tensor,
    ignore_label: int | None = 0,
    eps: float = 1e-10,
) -> Tensor:
    """Mean negative log likelihood over the positions, of all ranks, that count; zero without any.

    A position counts unless its label is `ignore_label` or a class that its exemplar lacks.
    Labels are resized with nearest; a class too small to survive that counts as lacking, since no
    position of the exemplar's grid could be matched to it.

    Args:
        warped: (B, K, h, w) in [0, 1], the exemplar's one-hot labels warped to the condition.
        labels: (B, H, W) int64, of the condition.
        exemplar_labels: (B, H', W') int64.
        ignore_label: the unknown class, or None.
        eps: added to the probabilities, which bounds cost and gradient where they vanish.
    """
    size, classes = warped.shape[-2:], warped.shape[1]
    target = _resize(labels, size)
    found = _resize(exemplar_labels, size).flatten(1)
    present = torch.zeros(len(found), classes, dtype=torch.bool, device=found.device)
    present = present.scatter(1, found, True)
    counts = present.gather(1, target.flatten(1)).view_as(target)
    if ignore_label is not None:
        counts = counts & (target != ignore_label)
    with without_autocast(warped):
        right = at_least_float32(warped).gather(1, target.unsqueeze(1)).squeeze(1)
        weights = counts.to(right.dtype)
        cost = -(right + eps).log()
        return (cost * weights).sum() / at_least_one(weights.sum())


@LOSSES.register_module()
class MaskLoss(Loss):
    """Negative log likelihood of the warped exemplar labels against the condition's labels.

    Args:
        weight: released value 100, where labels exist.
        ignore_label: label of unknown pixels, which count nothing (released: 0); None for data
            where every label is a class.
        eps: added to the probabilities (released: 1e-10).
    """

    requires = frozenset({"warped_labels", "labels", "exemplar_labels"})

    def __init__(
        self, weight: float = 100.0, ignore_label: int | None = 0, eps: float = 1e-10
    ) -> None:
        super().__init__(weight)
        if not 0 < eps < 1:
            raise ConfigError(f"MaskLoss.eps is {eps}; allowed are values between 0 and 1")
        self.ignore_label = ignore_label
        self.eps = eps

    def forward(self, translation: Translation) -> Tensor:
        """Scalar.

        Raises:
            AttributeError: the correspondence did not make `warped_labels`.
        """
        warped, batch = translation.alignment.warped_labels, translation.batch
        if warped is None:
            raise AttributeError(
                "the alignment has no 'warped_labels'; the correspondence must make them when "
                "they are among the outputs asked for"
            )
        assert batch.labels is not None, "listed in `requires`"
        assert batch.exemplar_labels is not None, "listed in `requires`"
        return mask_nll(warped, batch.labels, batch.exemplar_labels, self.ignore_label, self.eps)


def _resize(labels: Tensor, size: torch.Size) -> Tensor:
    # Class numbers are exact in float32.
    resized = F.interpolate(labels.unsqueeze(1).float(), size=tuple(size), mode="nearest")
    return resized.squeeze(1).long()
