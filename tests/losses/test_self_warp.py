from __future__ import annotations

import pytest

from mcltoolkit.losses import SelfWarpLoss


def test_l1_of_the_warped_exemplar_for_paired_samples(make_translation):
    translation = make_translation(2)  # paired: 0
    loss = SelfWarpLoss()
    assert loss.weight == 100
    assert loss.paired_only
    expected = (translation.alignment.warped[0] - translation.batch.truth[0]).abs().mean().item()
    value = loss(translation)
    assert value.item() == pytest.approx(expected, rel=1e-5)
    assert SelfWarpLoss(released=True)(translation).item() == pytest.approx(expected / 2, rel=2e-5)
    value.backward()
    assert translation.fake.grad is None
