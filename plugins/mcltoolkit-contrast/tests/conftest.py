"""A small translation bundle with random content, for every loss to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mcltoolkit_contrast
import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.structures import Alignment, Batch, ImageFeatures, Translation

CLASSES, SIDE, GRID, WIDTH = 5, 16, 4, 6
LAYERS = {"relu1_1": (4, 8), "relu2_1": (8, 4)}  # channels, side

mcltoolkit_contrast.register_components()


def _unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=1).requires_grad_()


class _Pyramid:
    """Stands for VGG-19: two fixed random maps of an image."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(7)
        self.weights = {
            name: torch.randn(channels, 3, 1, 1, generator=generator)
            for name, (channels, _) in LAYERS.items()
        }

    def __call__(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            name: F.relu(F.conv2d(F.adaptive_avg_pool2d(image, LAYERS[name][1]), weight))
            for name, weight in self.weights.items()
        }


@pytest.fixture
def make_translation() -> Callable[..., Translation]:
    """Call with a batch size; further keywords replace fields of the translation."""

    def make(batch: int = 2, **fields: Any) -> Translation:
        torch.manual_seed(batch)
        made = Batch(
            names=[f"s{i}" for i in range(batch)],
            exemplar=torch.rand(batch, 3, SIDE, SIDE) * 2 - 1,
            paired=torch.arange(batch) % 2 == 0,
            labels=torch.randint(0, CLASSES, (batch, SIDE, SIDE)),
            truth=torch.rand(batch, 3, SIDE, SIDE) * 2 - 1,
        ).with_one_hot(CLASSES)
        fake = (torch.rand(batch, 3, SIDE, SIDE) * 2 - 1).requires_grad_()
        translation = Translation(
            batch=made,
            alignment=Alignment(match=None, warped=fake),  # no loss here reads it
            fake=fake,
            condition_features=_unit(batch, WIDTH, GRID, GRID),
            exemplar_features=_unit(batch, WIDTH, GRID, GRID),
            truth_features=_unit(batch, WIDTH, GRID, GRID),
            condition_descriptors=_unit(batch, WIDTH + 2, GRID, GRID),
            exemplar_descriptors=_unit(batch, WIDTH + 2, GRID, GRID),
            truth_descriptors=_unit(batch, WIDTH + 2, GRID, GRID),
            image_features=ImageFeatures(_Pyramid(), {"fake": fake, "truth": made.truth}),
        )
        return replace(translation, **fields)

    return make
