"""A small translation bundle with random content, for every loss to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.structures import Alignment, Batch, DiscriminatorPass, Translation

CLASSES, SIDE, GRID, WIDTH = 5, 16, 4, 6


def _unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=1).requires_grad_()


def _layers(batch: int) -> list[torch.Tensor]:
    return [torch.randn(batch, c, s, s) for c, s in ((4, 8), (6, 4), (1, 4))]


@pytest.fixture
def make_translation() -> Callable[..., Translation]:
    """Call with a batch size; further keywords replace fields of the translation."""

    def make(batch: int = 2, **fields: Any) -> Translation:
        torch.manual_seed(batch)
        labels = torch.randint(1, CLASSES, (batch, SIDE, SIDE))
        exemplar_labels = torch.randint(1, CLASSES, (batch, SIDE, SIDE))
        warped_labels = torch.randn(batch, CLASSES, GRID, GRID).softmax(1).requires_grad_()
        made = Batch(
            names=[f"s{i}" for i in range(batch)],
            exemplar=torch.rand(batch, 3, SIDE, SIDE) * 2 - 1,
            paired=torch.arange(batch) % 2 == 0,
            labels=labels,
            truth=torch.rand(batch, 3, SIDE, SIDE) * 2 - 1,
            exemplar_labels=exemplar_labels,
        ).with_one_hot(CLASSES)
        alignment = Alignment(
            match=None,  # type: ignore[arg-type]  # no loss reads it
            warped=(torch.rand(batch, 3, SIDE, SIDE) * 2 - 1).requires_grad_(),
            warped_labels=warped_labels,
            cycle=torch.rand(batch, 3, GRID, GRID).requires_grad_(),
            cycle_target=torch.rand(batch, 3, GRID, GRID),
        )
        translation = Translation(
            batch=made,
            alignment=alignment,
            fake=(torch.rand(batch, 3, SIDE, SIDE) * 2 - 1).requires_grad_(),
            condition_features=_unit(batch, WIDTH, GRID, GRID),
            exemplar_features=_unit(batch, WIDTH, GRID, GRID),
            truth_features=_unit(batch, WIDTH, GRID, GRID),
            condition_descriptors=_unit(batch, WIDTH + 2, GRID, GRID),
            exemplar_descriptors=_unit(batch, WIDTH + 2, GRID, GRID),
            truth_descriptors=_unit(batch, WIDTH + 2, GRID, GRID),
            fake_pass=DiscriminatorPass([_layers(batch), _layers(batch)]),
            real_pass=DiscriminatorPass([_layers(batch), _layers(batch)]),
        )
        return replace(translation, **fields)

    return make
