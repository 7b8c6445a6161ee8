"""How convolutions run: where channels lie in memory, and by which sum.

Channels lie apart (NCHW, torch's own) or beside each other (NHWC). Convolutions of few channels on
large maps, resizing and pooling are faster with channels beside each other; wide convolutions on
small maps and instance norm, on CPUs, the other way round. So the faster layout is a matter of the
model, and each config says it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.ops.conv import allow_winograd

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def lay_out(model: nn.Module, setting: Any, weights: bool = True) -> None:
    """Have a model compute in a layout; results differ by rounding, names and values of its state
    not at all.

    Args:
        model: with a `data_preprocessor`, before it is wrapped for distributed training.
        setting: `contiguous` or `channels_last`.
        weights: change those, too; else images alone, whose layout the convolutions follow (torch
            shards only contiguous weights).

    Raises:
        ConfigError: another setting.
    """
    if setting not in FORMATS:
        raise ConfigError(
            f"memory_format is {setting!r}{near_matches(str(setting), FORMATS)}; allowed are "
            f"{', '.join(map(repr, FORMATS))}"
        )
    if setting == "contiguous":
        return
    if weights:
        model.to(memory_format=FORMATS[setting])  # type: ignore[call-overload]
    preprocessor = getattr(model, "data_preprocessor", None)
    if isinstance(preprocessor, nn.Module):
        preprocessor.register_forward_hook(_images_channels_last)


def choose_convolutions(setting: Any) -> None:
    """Whether wide float32 convolutions on CPUs may take fewer multiplications, see `ops.winograd`.

    Args:
        setting: True or False; for the whole process.

    Raises:
        ConfigError: another setting.
    """
    if not isinstance(setting, bool):
        raise ConfigError(
            f"winograd is {setting!r}; allowed are True (wide float32 convolutions on CPUs take "
            f"fewer multiplications) and False (all are torch's own)"
        )
    allow_winograd(setting)


def _images_channels_last(module: nn.Module, data: Any, prepared: Any) -> Any:
    return prepared.map_tensors(_channels_last) if hasattr(prepared, "map_tensors") else prepared


def _channels_last(value: Tensor) -> Tensor:
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
