"""The seam of the training step for checks between the gradients and the optimiser's step."""

from __future__ import annotations

from torch import Tensor

from mcltoolkit.structures import Batch


class StepGuard:
    """Told what each side of a training step starts from and gives; this one looks at nothing.

    Attributes:
        dropped: sides (`generator`, `discriminator`) whose step was left out in this iteration.
    """

    dropped: frozenset[str] = frozenset()

    def begin(self, side: str, batch: Batch, fake: Tensor | None = None) -> None:
        """Before the forward pass of a side; `fake` is what the discriminator's side judges."""

    def computed(self, terms: dict[str, Tensor], total: Tensor) -> None:
        """After the forward pass, before the backward pass of `total`, the sum of `terms`."""

    def logged(self, log: dict[str, Tensor]) -> dict[str, Tensor]:
        """What of the log of a step is to be kept."""
        return log
