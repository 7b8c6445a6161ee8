"""A match that is given as a permutation, and predictions made of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.structures import Prediction


class PermutationMatch:
    """Condition position i of sample b looks at exemplar position `partners[b, i]` alone."""

    def __init__(self, partners: Tensor, grid: tuple[int, int], exemplar_grid: tuple[int, int]):
        self.grid, self.exemplar_grid = grid, exemplar_grid
        self.weights = F.one_hot(partners, exemplar_grid[0] * exemplar_grid[1]).float()

    def warp(self, values: Tensor) -> Tensor:
        return torch.bmm(values, self.weights.transpose(1, 2))

    def warp_back(self, values: Tensor) -> Tensor:
        return torch.bmm(values, self.weights)

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        return self.weights if rows is None else self.weights[:, rows]


@pytest.fixture
def make_predictions() -> Callable[..., list[Prediction]]:
    def make(
        partners: Tensor,
        grid: tuple[int, int] = (4, 6),
        exemplar_grid: tuple[int, int] | None = None,
        classes: int = 3,
        stride: int = 4,
    ) -> list[Prediction]:
        match = PermutationMatch(partners, grid, exemplar_grid or grid)
        batch, (h, w) = len(partners), grid
        generator = torch.Generator().manual_seed(1)

        def image() -> Tensor:
            return torch.rand(3, h * stride, w * stride, generator=generator) * 2 - 1

        predictions = []
        for i in range(batch):
            labels = torch.zeros(h * stride, w * stride, dtype=torch.long)
            labels[:, w * stride // 2 :] = 1 + i % (classes - 1)
            predictions.append(
                Prediction(
                    name=f"scene_{i}",
                    fake=image(),
                    warped=image(),
                    exemplar=image(),
                    condition=F.one_hot(labels, classes).permute(2, 0, 1).float(),
                    match=match,
                    index=i,
                    truth=image(),
                    labels=labels,
                    exemplar_labels=labels.clone(),
                    paired=True,
                )
            )
        return predictions

    return make
