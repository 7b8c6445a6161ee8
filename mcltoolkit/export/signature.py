"""What an exported model takes: names, shapes and ranges, and samples of such inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import ConfigError
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.layers.sizes import check_divisible

OUTPUTS = ("image", "warped")
# regions a side of a made-up layout, and colours a side of a made-up photo
_REGIONS, _COLOURS = 4, 6


@dataclass(frozen=True)
class Signature:
    """Inputs of an exported model, in order; its outputs are `OUTPUTS`.

    Attributes:
        size: (H, W), fixed; only the batch may vary.
        channels: C of the dense condition.
        kind: `labels`, where the condition is one-hot, or `maps`.
        exemplar_condition: the model reads the exemplar's condition as a third input.
    """

    size: tuple[int, int]
    channels: int
    kind: str
    exemplar_condition: bool

    @property
    def inputs(self) -> dict[str, int]:
        """Channels of each input by name."""
        names = {"condition": self.channels, "exemplar": 3}
        return names | ({"exemplar_condition": self.channels} if self.exemplar_condition else {})


def signature_of(model: TranslationModel, size: tuple[int, int] | None = None) -> Signature:
    """The signature of a loaded model.

    Args:
        model: of `load_model`.
        size: (H, W); default the model's test size.

    Raises:
        ConfigError: no size is known, or the networks cannot take it.
    """
    size = size or model.settings["size"]
    if size is None:
        raise ConfigError(
            f"the config in {model.checkpoint} fixes no test size, and an exported model has one "
            f"fixed size; give --size HEIGHT WIDTH, multiples of {model.stride}"
        )
    height, width = int(size[0]), int(size[1])
    check_divisible(height, width, model.stride, "the exported model")
    return Signature(
        (height, width), model.channels, model.condition_kind, model.needs_exemplar_condition
    )


def sample_inputs(signature: Signature, batch: int, kind: str, seed: int = 0) -> dict[str, Tensor]:
    """Made-up inputs by name, float32, always the same for the same arguments.

    Args:
        batch: B.
        kind: `noise`, independent values over the whole range, or `scene`, one-hot regions and a
            smooth picture.
        seed: of the random numbers.
    """
    random = torch.Generator().manual_seed(seed)
    made: dict[str, Tensor] = {}
    for name, channels in signature.inputs.items():
        if kind == "noise":
            values = torch.rand(batch, channels, *signature.size, generator=random)
            made[name] = 2 * values - 1 if name == "exemplar" else values
        elif name == "exemplar":
            rough = torch.rand(batch, 3, _COLOURS, _COLOURS, generator=random)
            smooth = F.interpolate(rough, size=signature.size, mode="bilinear", align_corners=True)
            made[name] = 2 * smooth - 1
        else:
            regions = torch.randint(channels, (batch, 1, _REGIONS, _REGIONS), generator=random)
            regions = F.interpolate(regions.float(), size=signature.size, mode="nearest").long()
            made[name] = torch.zeros(batch, channels, *signature.size).scatter_(1, regions, 1.0)
    return made
