"""What part of the context a baseline reads: the condition, with or without the guidance."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mcltoolkit.errors import ConfigError


def condition_width(generator: Any, context_channels: int, guidance_channels: int) -> int:
    """Channels of the condition.

    Args:
        generator: for messages.
        context_channels: guidance and condition together, as the translator fills it in.
        guidance_channels: of these the correspondence's, which come first.

    Raises:
        ConfigError: nothing is left for the condition.
    """
    width = context_channels - guidance_channels
    if guidance_channels < 0 or width < 1:
        raise ConfigError(
            f"{type(generator).__name__}.guidance_channels is {guidance_channels} of "
            f"{context_channels} context channels; allowed are 0..{context_channels - 1}, so that "
            f"the condition has at least one"
        )
    return width


def check_condition(generator: Any, condition: Tensor) -> None:
    """Check that a condition (B, C, H, W) has the `condition_channels` of a generator.

    Raises:
        ConfigError: other channels.
    """
    if condition.shape[1] != generator.condition_channels:
        raise ConfigError(
            f"{type(generator).__name__} got a condition of {condition.shape[1]} channels; it "
            f"takes {generator.condition_channels}: set model.condition_channels to fit the data"
        )
