"""What every loss is: a weight and a function of the translation bundle."""

from __future__ import annotations

from torch import Tensor, nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.structures import DiscriminatorPass, Translation


class Loss(nn.Module):
    """Base of all generator-side losses.

    Subclasses compute `forward(translation) -> scalar Tensor`, unweighted. The objective
    multiplies by `weight` and skips terms of weight 0.

    Class attributes:
        requires: optional outputs of the forward pass that the loss reads. Known names:
            `truth`, `labels`, `exemplar_labels` (data that must be there), `truth_features`
            (image encoder on the truth, and its descriptors), `features` (the model has encoders),
            `warped_labels`, `cycle` (of the alignment), `discriminator` (fake_pass and real_pass),
            `image_features` (VGG-19), and what a correspondence or generator `provides`.
        paired_only: only paired samples contribute; the term is zero in a batch without one.
        needs_channels: the loss has layers of its own on the features; the objective fills in its
            argument `in_channels`.

    Args:
        weight: factor in the objective, >= 0.
    """

    requires: frozenset[str] = frozenset()
    paired_only: bool = False
    needs_channels: bool = False

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ConfigError(f"{type(self).__name__}.weight is {weight}; allowed are values >= 0")
        self.weight = float(weight)

    @property
    def image_layers(self) -> frozenset[str]:
        """VGG-19 layers that the loss reads, such as `relu4_2`."""
        return frozenset()

    def forward(self, translation: Translation) -> Tensor:
        """Unweighted scalar with graph."""
        raise NotImplementedError


class AdversarialTerm(Loss):
    """A loss that also trains the discriminator.

    Class attributes:
        margins: a fake score below the first and a real score above the second teach the
            discriminator little or nothing more; None where there are no such values.
    """

    requires = frozenset({"discriminator", "truth"})
    margins: tuple[float, float] | None = None

    def discriminator_loss(self, fake: DiscriminatorPass, real: DiscriminatorPass) -> Tensor:
        """Unweighted scalar that the discriminator minimises, for detached fake images."""
        raise NotImplementedError
