"""VGG-19 features of images, fixed (Simonyan and Zisserman, ICLR 2015).

Layer `reluA_B` is the output of the B-th convolution's ReLU in block A. Weights may follow either
of two conventions, which go with their own preprocessing of an image in [-1, 1]:

- torchvision: RGB in [0, 1], minus the ImageNet mean, over its deviation;
- caffe (the file that CoCosNet releases, keys `conv1_1.weight` ...): BGR in [0, 1], minus the mean,
  times 255.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.errors import ConfigError, WeightsError, near_matches
from mcltoolkit.pretrained import download, read_state, some
from mcltoolkit.registry import MODELS

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = (2, 2, 4, 4, 4)
CONVOLUTIONS = [f"{b}_{i}" for b, n in enumerate(DEPTHS, 1) for i in range(1, n + 1)]
LAYERS = tuple(f"relu{name}" for name in CONVOLUTIONS)
# Mean and factor of each channel. A rounding error more than the released code's would switch other
# ReLUs on and off, and change the gradient of single pixels by per cents: so its eight digits and
# its order of operations.
NORMALISATIONS = {
    "torchvision": ([0.485, 0.456, 0.406], [1 / 0.229, 1 / 0.224, 1 / 0.225]),
    "caffe": ([0.40760392, 0.45795686, 0.48501961], [255.0] * 3),
}
PREPROCESSING = tuple(NORMALISATIONS)
CHOICE = (
    "set model.vgg.weights, or pass --vgg-weights PATH|torchvision|random (PATH: a file with "
    "torchvision's or the released CoCosNet's VGG-19; torchvision: downloaded by torchvision; "
    "random: for trials only)"
)


@MODELS.register_module()
class VGG19Features(nn.Module):
    """Image (B, 3, H, W) in [-1, 1] -> {layer: (B, C, h, w)}; frozen, differentiable in the image.

    Always float32, also under autocast: deep features in the caffe convention come near the end of
    float16.

    Args:
        layers: names `relu1_1` ... `relu5_4`; nothing deeper than the deepest is built.
        weights: `torchvision` (its own download and cache), `random` (for trials; seeded, says
            so in the log), or the path of a state dict with the keys of torchvision's vgg19
            (`features.N.weight`, with or without the classifier) or of the file that CoCosNet
            releases (`conv1_1.weight`). Loaded with weights_only=True.
        preprocess: `torchvision` or `caffe`; None follows the weights' keys.
        width_divisor: divides every layer's channels; other than 1 only for `random`, or a file
            of that size.
        seed: of random weights.

    Raises:
        ConfigError: an unknown layer, or a setting outside its range.
        WeightsError: no weights named, or a file that is missing, broken or does not fit.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        layers: Iterable[str] = ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2"),
        weights: str | Path | None = None,
        preprocess: str | None = None,
        width_divisor: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.layers = _checked_layers(layers)
        if preprocess not in (None, *PREPROCESSING):
            raise ConfigError(
                f"VGG19Features.preprocess is {preprocess!r}; allowed are None, "
                f"{', '.join(map(repr, PREPROCESSING))}"
            )
        if width_divisor < 1 or WIDTHS[0] % width_divisor:
            raise ConfigError(
                f"VGG19Features.width_divisor is {width_divisor}; allowed are divisors of "
                f"{WIDTHS[0]}"
            )
        if weights is None or not str(weights):
            raise WeightsError(f"VGG-19 features are asked for but no weights are named; {CHOICE}")
        depth = max(LAYERS.index(name) for name in self.layers) + 1
        self.convolutions = nn.ModuleDict()
        channels = 3
        for name in CONVOLUTIONS[:depth]:
            width = WIDTHS[int(name[0]) - 1] // width_divisor
            # Filled below; torch's own initialisation would draw from the global generator.
            self.convolutions[f"conv{name}"] = nn.utils.skip_init(
                nn.Conv2d, channels, width, 3, padding=1
            )
            channels = width
        convention = self._load(str(weights), width_divisor, seed)
        self.preprocess = preprocess or convention
        mean, scale = NORMALISATIONS[self.preprocess]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(scale).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Features by layer name.

        Raises:
            ConfigError: the image is too small for the deepest layer.
        """
        shrink = 2 ** (int(list(self.convolutions)[-1][4]) - 1)
        if min(image.shape[-2:]) < shrink:
            raise ConfigError(
                f"an image of {image.shape[-2]}x{image.shape[-1]} is too small for the VGG-19 "
                f"layers {', '.join(self.layers)}, which need {shrink}x{shrink} or more; use "
                f"larger images or shallower layers"
            )
        with torch.autocast(image.device.type, enabled=False):
            x = (image.to(self.mean.dtype) + 1) / 2
            if self.preprocess == "caffe":
                x = x.flip(1)
            x = (x - self.mean) * self.scale
            found: dict[str, Tensor] = {}
            for name, convolution in self.convolutions.items():
                assert isinstance(convolution, nn.Conv2d)
                if name.endswith("_1") and name != "conv1_1":
                    x = F.max_pool2d(x, 2)
                x = ops.conv2d(x, convolution.weight, convolution.bias, padding=(1, 1))
                x = F.relu_(x)
                layer = name.replace("conv", "relu")
                if layer in self.layers:
                    found[layer] = x
            return found

    def _load(self, weights: str, width_divisor: int, seed: int) -> str:
        """Fill in the weights; returns their convention."""
        if weights == "random":
            self._fill_random(seed)
            print_log(
                "VGG-19 has random weights: for trials only, its losses and metrics mean little",
                logger="current",
                level=logging.WARNING,
            )
            return "torchvision"
        if weights == "torchvision":
            if width_divisor != 1:
                raise ConfigError(
                    f"VGG19Features.width_divisor is {width_divisor} with weights='torchvision'; "
                    f"these have full width: use width_divisor=1 or weights='random'"
                )
            source = "torchvision's vgg19"
            state = download(_torchvision, source, CHOICE)
        else:
            state, source = read_state(weights, "VGG-19", CHOICE), f"file {weights}"
        ours = {f"{n}.{kind}" for n in self.convolutions for kind in ("weight", "bias")}
        torchvision_names = dict(zip(CONVOLUTIONS, _torchvision_indices(), strict=True))
        conventions = {
            "torchvision": {
                key: f"features.{torchvision_names[key[4:7]]}{key[7:]}" for key in ours
            },
            "caffe": {key: key for key in ours},
        }
        for convention, names in conventions.items():
            if set(names.values()) <= set(state):
                self._copy({key: state[name] for key, name in names.items()}, names, source)
                return convention
        raise WeightsError(
            f"{source} does not hold a VGG-19: found the keys {some(state)}; expected "
            f"{some(conventions['torchvision'].values())} (torchvision) or "
            f"{some(conventions['caffe'].values())} (released CoCosNet); {CHOICE}"
        )

    def _copy(self, state: dict[str, Tensor], names: dict[str, str], source: str) -> None:
        for key, ours in self.convolutions.state_dict().items():
            theirs = state[key]
            if theirs.shape != ours.shape:
                raise WeightsError(
                    f"{source}: {names[key]} has shape {tuple(theirs.shape)}, expected "
                    f"{tuple(ours.shape)}; use a VGG-19 file of that size, or set "
                    f"model.vgg.width_divisor to the file's"
                )
        self.convolutions.load_state_dict(state)

    def _fill_random(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.convolutions.parameters():
                if parameter.ndim == 1:
                    parameter.zero_()
                else:
                    scale = (2 / parameter[0].numel()) ** 0.5
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)


def _checked_layers(layers: Iterable[str]) -> tuple[str, ...]:
    names = tuple(layers)
    if not names:
        raise ConfigError("VGG19Features.layers is empty; name at least one, such as 'relu4_2'")
    for name in names:
        if name not in LAYERS:
            raise ConfigError(
                f"unknown VGG-19 layer {name!r}{near_matches(str(name), LAYERS)}; allowed are "
                f"{', '.join(LAYERS)}"
            )
    return names


def _torchvision_indices() -> list[int]:
    """Index in torchvision's `features` of each convolution: two places each, one a pooling."""
    return [2 * i + int(name[0]) - 1 for i, name in enumerate(CONVOLUTIONS)]


def _torchvision() -> dict[str, Tensor]:
    from torchvision.models import VGG19_Weights

    weights = VGG19_Weights.IMAGENET1K_V1
    return dict(weights.get_state_dict(progress=True, check_hash=True))
