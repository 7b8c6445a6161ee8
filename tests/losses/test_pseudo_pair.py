from __future__ import annotations

import pytest
import torch

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses import PixelPseudoPairLoss, PseudoPairLoss
from mcltoolkit.structures import ImageFeatures

WEIGHTS = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]


def extractor(image):
    """Five layers whose values differ by a known factor."""
    return {f"relu{i}_2": i * image for i in range(1, 6)}


def with_features(translation):
    translation.image_features = ImageFeatures(
        extractor, {"fake": translation.fake, "truth": translation.batch.truth}
    )
    return translation


def gaps(translation, image):
    return [
        (f - t).abs().mean().item() for f, t in zip(image, translation.batch.truth, strict=True)
    ]


def test_features_weighted_over_layers_and_averaged_over_paired_samples(make_translation):
    translation = with_features(make_translation(3))  # paired: 0 and 2
    gap = gaps(translation, translation.fake)
    factor = sum(w * i for i, w in enumerate(WEIGHTS, 1))
    expected = factor * (gap[0] + gap[2]) / 2
    loss = PseudoPairLoss()
    assert loss.weight == 1
    assert loss.paired_only
    assert loss(translation).item() == pytest.approx(expected, rel=1e-5)
    released = PseudoPairLoss(released=True)
    assert released(translation).item() == pytest.approx(expected / 3, rel=1e-5)


def test_pixels_of_output_or_warped_exemplar(make_translation):
    translation = make_translation(3)
    for image, tensor in (("fake", translation.fake), ("warped", translation.alignment.warped)):
        loss = PixelPseudoPairLoss(image=image)
        assert "image_features" not in loss.requires
        gap = gaps(translation, tensor)
        released = PixelPseudoPairLoss(image=image, released=True)(translation)
        assert released.item() == pytest.approx((gap[0] + gap[2]) / 2 / 3, rel=2e-5)
        assert loss(translation).item() == pytest.approx((gap[0] + gap[2]) / 2, rel=1e-5)
        loss(translation).backward()
        assert tensor.grad[1].abs().sum() == 0
        assert tensor.grad[2].abs().sum() > 0


@pytest.mark.parametrize("loss", [PseudoPairLoss(), PixelPseudoPairLoss()])
def test_no_paired_sample_gives_zero_with_graph(make_translation, loss):
    translation = with_features(make_translation(2))
    translation.batch.paired = torch.zeros(2, dtype=torch.bool)
    value = loss(translation)
    value.backward()
    assert value.item() == 0
    assert translation.fake.grad.abs().sum() == 0


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="'fake' and 'warped'"):
        PixelPseudoPairLoss(image="truth")
    with pytest.raises(ConfigError, match="layers is empty"):
        PseudoPairLoss(layers={})
