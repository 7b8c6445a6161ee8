"""The encoder: a timm network, then a decoder to the grid of the correspondence."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from typing_extensions import Self

from mcltoolkit import ENCODERS
from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.layers import check_divisible
from mcltoolkit_backbones.anatomy import Anatomy, study
from mcltoolkit_backbones.decoder import FeatureDecoder, resize, token_factors
from mcltoolkit_backbones.network import build_network
from mcltoolkit_backbones.sizes import read_size, seen_size
from mcltoolkit_backbones.sync import synchronise
from mcltoolkit_backbones.weights import (
    CHOICE,
    COLOURS,
    DOWNLOAD,
    RANDOM,
    AbsentWeightsError,
    load_file,
)


@ENCODERS.register_module()
class TimmEncoder(nn.Module):
    """Condition or image (B, C, H, W) -> features (B, `out_channels`, H/`stride`, W/`stride`).

    Any timm network that gives feature maps: convolutional, hybrid, hierarchical transformers, and
    plain vision transformers (DINO, DINOv2, DINOv3, with registers or not).

    Args:
        in_channels: C; filled in by the translator.
        model: timm's name, such as `resnet50`, `coatnet_pico_rw_224` or `vit_small_patch14_dinov2`;
            a tag (`resnet50.a1_in1k`) picks pretrained weights.
        weights: `random`; the path of a file, see `weights.load_file`; or `timm`, for timm's
            download and cache. None, which full-size configs have, must be filled in. Weights that
            cannot be found are an error at the first forward pass, unless a checkpoint has filled
            the network by then: what a training has saved needs no other file.
        out_channels: of the output.
        stride: of the output; H and W must be multiples of it.
        layers: indices of the stages or blocks to read; see `anatomy.study`.
        img_size: what the network sees. None: the image as it is, whose sides must be multiples of
            the coarsest map's stride (of the patch, for transformers). `nearest`: the image resized
            to the nearest size that the network takes. A number of pixels, or (height, width): the
            image resized to that; a network of fixed size is built for it.
        normalise: turn colours in [-1, 1] into what the model's pretrained weights expect (mean and
            deviation of its data set). None: where there are such weights and 3 channels; say False
            for a condition of 3 channels that are no colours.
        final_norm: plain transformers: put the last norm on every map, as DINOv2's authors read
            intermediate layers.
        decoder_width: channels inside the decoder; None takes `out_channels`.
        decoder_norm: norm inside the decoder, see `mcltoolkit.layers.build_norm`.
        frozen_backbone: train the decoder alone; the network gets no gradient of its own and stays
            in evaluation mode, so that batch norm keeps its statistics.
        sync_batchnorm: batch norms of the network take their statistics over all ranks.

    Attributes:
        out_channels, stride: as above.
        multiple: what H and W must be multiples of.
        anatomy: what was found out about the network.

    Raises:
        ConfigError: an unknown model, a layer it does not have, or a setting outside its range.
        WeightsError: no weights named, or a file that is missing, broken or does not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        in_channels: int,
        model: str,
        weights: str | Path | None = RANDOM,
        out_channels: int = 256,
        stride: int = 4,
        layers: Sequence[int] | None = None,
        img_size: int | Sequence[int] | str | None = None,
        normalise: bool | None = None,
        final_norm: bool = True,
        decoder_width: int | None = None,
        decoder_norm: str = "instance",
        frozen_backbone: bool = False,
        sync_batchnorm: bool = False,
    ) -> None:
        super().__init__()
        if stride < 1:
            raise ConfigError(f"TimmEncoder.stride is {stride}; allowed is 1 or more")
        if normalise and in_channels != COLOURS:
            raise ConfigError(
                f"TimmEncoder.normalise is True for {in_channels} input channels; only the colours "
                f"of an image have a mean to take off: leave it out for a condition"
            )
        self.out_channels = out_channels
        self.stride = stride
        self.img_size = read_size(img_size)
        build_size = self.img_size if isinstance(self.img_size, tuple) else None
        self.anatomy = study(model, in_channels, layers, stride, build_size, final_norm)
        resized = self.img_size is not None
        self.multiple = stride if resized else math.lcm(stride, self.anatomy.multiple)
        self.backbone, self._absent = _build(self.anatomy, final_norm, weights, frozen_backbone)
        for name, parameter in self.backbone.named_parameters():
            if frozen_backbone or name in self.anatomy.unused:
                parameter.requires_grad_(False)  # DDP waits for the gradient of all others
        if sync_batchnorm:
            self.backbone = synchronise(self.backbone)
        self.frozen_backbone = frozen_backbone
        patch = self.anatomy.multiple
        count = len(self.anatomy.layers)
        self.decoder = FeatureDecoder(
            self.anatomy.channels,
            out_channels,
            decoder_width or out_channels,
            token_factors(count, patch, stride) if self.anatomy.plain else None,
            decoder_norm,
        )
        if normalise is None:
            normalise = weights != RANDOM and in_channels == COLOURS
        self.normalise = normalise
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.anatomy, name)).view(1, -1, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, `out_channels`, h, w), not normalised.

        Raises:
            ConfigError: H or W is not a multiple of `stride`, or a size that the network does not
                take.
            WeightsError: its weights were not found, and no checkpoint was loaded.
        """
        if self._absent is not None:
            raise self._absent
        height, width = x.shape[-2:]
        check_divisible(height, width, self.stride, type(self).__name__)
        grid = (height // self.stride, width // self.stride)
        anatomy = self.anatomy
        size = seen_size((height, width), self.img_size, anatomy.multiple, anatomy.fixed_size)
        if self.normalise:
            x = ((x + 1) / 2 - self.mean) / self.std
        return self.decoder(self.backbone(resize(x, size)), grid)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if any(key.startswith(f"{prefix}backbone.") for key in state_dict):
            self._absent = None
        super()._load_from_state_dict(state_dict, prefix, *args)

    def train(self, mode: bool = True) -> Self:
        """As any module's; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen_backbone:
            self.backbone.eval()
        return self


def _build(
    anatomy: Anatomy, final_norm: bool, weights: str | Path | None, frozen: bool
) -> tuple[nn.Module, WeightsError | None]:
    """The network, and why its weights are not there if they are not."""

    def build(**more: Any) -> nn.Module:
        options = {**anatomy.options, **more}
        return build_network(anatomy.model, anatomy.layers, anatomy.plain, final_norm, options)

    if torch.empty(0).is_meta:  # shapes alone are asked for: weights need not be there
        return build(), None
    if weights is None or not str(weights):
        raise WeightsError(f"TimmEncoder {anatomy.model} has no weights; {CHOICE}")
    if weights == DOWNLOAD:
        try:
            return build(pretrained=True), None
        except Exception as error:  # no network, no room, none published: many kinds
            return build(), AbsentWeightsError(
                f"timm's weights of {anatomy.model} cannot be had ({type(error).__name__}: "
                f"{error}); allow the download, or {CHOICE}"
            )
    network = build()
    if weights != RANDOM:
        try:
            load_file(network, anatomy, weights)
        except AbsentWeightsError as error:
            return network, error
    elif frozen:
        print_log(
            f"TimmEncoder {anatomy.model} is frozen with random weights: its features mean little",
            logger="current",
            level=logging.WARNING,
        )
    return network, None
