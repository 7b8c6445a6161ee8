"""Signs that an adversarial training of a translator collapses, measured on a training step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.precision import at_least_float32
from mcltoolkit.structures import Batch, DiscriminatorPass

COPIED = 0.8
"""Correlation of fine structure from which an output counts as a copy of its exemplar."""
FAINT = 1e-3
"""Detail of less than that, root mean square, is rounding: an eighth of a step of 8 bits."""
ALIKE = 0.5
"""Correlation from which truth and exemplar share a layout, so that a copy cannot be told."""


def structure_correlation(first: Tensor, second: Tensor) -> Tensor:
    """How alike the structure of two images is, at the same places.

    Colours alone count for nothing: what is compared is each image less its mean over a window of
    about a sixteenth of the shorter side. A right translation shares colours with its exemplar, and
    where both show the same class also places, but not its outlines and textures.

    Args:
        first, second: (B, C, H, W).

    Returns:
        (B,) in [-1, 1]: 1 for equal structure; 0 where one of them has none.
    """
    window = max(3, min(first.shape[2:]) // 16 | 1)

    def detail(images: Tensor) -> Tensor:
        images = at_least_float32(images)
        mean = F.avg_pool2d(images, window, 1, window // 2, count_include_pad=False)
        return (images - mean).flatten(1)

    none = FAINT * first[0].numel() ** 0.5
    return F.cosine_similarity(detail(first), detail(second), dim=1, eps=none)


def copies(batch: Batch, fake: Tensor) -> Tensor | None:
    """Which outputs copy their exemplar, though it is not the answer.

    A paired sample tells, too, where the exemplar is another view of the truth, or another picture
    in its style; where it is the truth itself, a copy is right.

    Args:
        batch: the inputs.
        fake: (B, 3, H, W), the outputs.

    Returns:
        (S,), 1 for a copy and 0 for others, of the samples that tell: those whose truth has not the
        exemplar's layout; without truth, those that are not paired. None if none tells.
    """
    if batch.truth is not None:
        tells = structure_correlation(batch.truth, batch.exemplar) < ALIKE
    else:
        tells = ~batch.paired
    if not tells.any():
        return None
    return (structure_correlation(fake, batch.exemplar)[tells] > COPIED).float()


def saturation(
    fake: DiscriminatorPass, real: DiscriminatorPass, margins: tuple[float, float]
) -> Tensor:
    """Share of the scores from which the discriminator learns nothing any more.

    Args:
        fake, real: its outputs.
        margins: fake scores below the first and real scores above the second are settled.

    Returns:
        Scalar in [0, 1]: the share of the fake or of the real scores that are settled, the smaller
        of the two; mean over scales.
    """
    low, high = margins
    found = []
    for fakes, reals in zip(fake.scores, real.scores, strict=True):
        shares = torch.stack([(fakes < low).float().mean(), (reals > high).float().mean()])
        found.append(shares.min())
    return torch.stack(found).mean()
