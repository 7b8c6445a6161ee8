"""What one visitor has chosen and made; it lives as long as the visitor's page, and no longer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.visualization.colours import Picture


@dataclass(frozen=True)
class Session:
    """Never changed, only replaced, so that visitors who start from the same one share nothing.

    Attributes:
        exemplar: (H, W, 3) uint8, as it was uploaded or chosen.
        maps: (C, H, W), the condition of a model that takes numbers; label maps live in the canvas.
        exemplar_maps: likewise of the exemplar.
        result: the last translation.
    """

    exemplar: Picture | None = None
    maps: np.ndarray | None = None
    exemplar_maps: np.ndarray | None = None
    result: TranslationResult | None = None
