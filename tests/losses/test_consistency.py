from __future__ import annotations

import torch

from mcltoolkit.losses import FeatureConsistencyLoss


def test_l1_of_the_two_feature_maps_trains_both_encoders(make_translation):
    translation = make_translation(2)
    x, y = translation.condition_features, translation.truth_features
    loss = FeatureConsistencyLoss()
    assert loss.weight == 10
    assert loss.requires == {"truth", "truth_features"}
    value = loss(translation)
    torch.testing.assert_close(value, (x - y).abs().sum() / x.numel())
    value.backward()
    torch.testing.assert_close(x.grad, (x - y).sign() / x.numel())
    torch.testing.assert_close(y.grad, (y - x).sign() / x.numel())
