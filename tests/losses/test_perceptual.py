from __future__ import annotations

import pytest
import torch

from mcltoolkit.losses import PerceptualLoss
from mcltoolkit.structures import ImageFeatures


def extractor(image):
    return {"relu4_2": 3 * image, "relu5_2": image.mean(1, keepdim=True)}


def test_mean_squared_error_of_the_chosen_layer(make_translation):
    translation = make_translation(2)
    translation.image_features = ImageFeatures(
        extractor, {"fake": translation.fake, "truth": translation.batch.truth}
    )
    gap = translation.fake - translation.batch.truth
    expected = 9 * gap.square().sum() / gap.numel()
    loss = PerceptualLoss(weight=0.001, layer="relu4_2")
    assert loss.image_layers == {"relu4_2"}
    torch.testing.assert_close(loss(translation), expected)
    deep = PerceptualLoss()
    assert deep.image_layers == {"relu5_2"}
    assert deep.weight == 0.01
    deep(translation).backward()
    expected = 2 * gap.mean(1, keepdim=True).detach() / (3 * gap.numel() / 3)
    torch.testing.assert_close(translation.fake.grad, expected.expand_as(gap))


def test_zero_for_equal_images(make_translation):
    translation = make_translation(1)
    translation.image_features = ImageFeatures(
        extractor, {"fake": translation.batch.truth, "truth": translation.batch.truth}
    )
    assert PerceptualLoss()(translation).item() == pytest.approx(0, abs=0)
