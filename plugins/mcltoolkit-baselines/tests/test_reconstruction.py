from types import SimpleNamespace

import pytest
import torch
from mcltoolkit_baselines.reconstruction import LAYERS, VGGReconstructionLoss

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses import PseudoPairLoss
from mcltoolkit.structures import ImageFeatures


def extractor(image):
    """Five layers whose values differ by a known factor."""
    return {name: i * image for i, name in enumerate(LAYERS, 1)}


@pytest.fixture
def translation(make_batch):
    batch = make_batch(3)
    fake = torch.rand_like(batch.truth).requires_grad_()
    features = ImageFeatures(extractor, {"fake": fake, "truth": batch.truth})
    return SimpleNamespace(
        batch=batch, fake=fake, image_features=features, need=lambda name: features
    )


def test_weighted_over_layers_and_averaged_over_all_samples(translation):
    gap = (translation.fake - translation.batch.truth).abs().mean().item()
    factor = 1 / 32 + 2 / 16 + 3 / 8 + 4 / 4 + 5
    loss = VGGReconstructionLoss()
    assert loss.weight == 10
    assert loss.image_layers == set(LAYERS)
    assert not loss.paired_only
    assert loss(translation).item() == pytest.approx(factor * gap, rel=1e-5)


def test_unpaired_samples_count_too(translation):
    VGGReconstructionLoss()(translation).backward()
    assert all(grad.any() for grad in translation.fake.grad)


def test_where_all_are_paired_it_is_the_toolkit_s_term(translation):
    translation.batch.paired = torch.ones(3, dtype=torch.bool)
    theirs = PseudoPairLoss(layers=LAYERS)(translation)
    torch.testing.assert_close(VGGReconstructionLoss()(translation), theirs)


def test_no_layer():
    with pytest.raises(ConfigError, match="layers is empty"):
        VGGReconstructionLoss(layers={})
