"""What one visitor has chosen and made; it lives as long as the visitor's page, and no longer.

The server forgets a page that is left alone, the browser does not. What is remembered therefore has
a token, which the page gets with the picture and sends back: without it, a forgotten page would be
answered with another picture than it shows.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcltoolkit.errors import DataError
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
        exemplar_token, maps_token, exemplar_maps_token, result_token: of these four; None where
            there is nothing.
    """

    exemplar: Picture | None = None
    maps: np.ndarray | None = None
    exemplar_maps: np.ndarray | None = None
    result: TranslationResult | None = None
    exemplar_token: str | None = None
    maps_token: str | None = None
    exemplar_maps_token: str | None = None
    result_token: str | None = None


def new_token() -> str:
    """A token that no other picture has."""
    return secrets.token_hex(8)


def check_shown(value: Any, token: str | None, what: str, step: str) -> None:
    """Refuse what the page shows where it is not what is remembered.

    Args:
        value: of the page's part, with its `token`; None where it shows nothing.
        token: of what is remembered; None for nothing.
        what: its name in the message.
        step: what the visitor does then.

    Raises:
        DataError: they differ.
    """
    if value is None and token is None:
        return
    found = value.get("token") if isinstance(value, Mapping) else None
    if token is None or found != token:
        raise DataError(
            f"this page was left for too long, or others came since, and its {what} is no longer "
            f"remembered; {step}, or reload the page"
        )
