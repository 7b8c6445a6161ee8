import pytest
import torch
from mcltoolkit_cocosnet2.level_mask import LevelMaskLoss

from mcltoolkit.structures import Alignment, Batch, Translation


def test_equals_the_sum_over_levels_of_the_mean_cost():
    torch.manual_seed(0)
    labels = torch.randint(3, (2, 4, 6))
    levels = [torch.rand(2, 3, 2, 3).softmax(1), torch.rand(2, 3, 4, 6).softmax(1)]
    image = torch.zeros(2, 3, 4, 6)
    exemplar_labels = torch.arange(3).repeat(2, 4, 2)  # has every class at both sizes
    batch = Batch(["a", "b"], image, torch.ones(2), labels=labels, exemplar_labels=exemplar_labels)
    translation = Translation(
        batch, Alignment(None, image), image, extras={"warped_label_levels": levels}
    )
    expected = 0.0
    for warped in levels:
        step = 4 // warped.shape[2]
        costs = [
            -warped[b, labels[b, r * step, c * step], r, c].log()
            for b in range(2)
            for r in range(warped.shape[2])
            for c in range(warped.shape[3])
            if labels[b, r * step, c * step] in exemplar_labels[b, ::step, ::step]
        ]
        expected += torch.stack(costs).mean().item()
    found = LevelMaskLoss(weight=1.0, ignore_label=None)(translation)
    assert found.item() == pytest.approx(expected, rel=1e-5)
