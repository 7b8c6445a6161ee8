import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.correspondence import SelfCorrelationMap, self_correlation
from mcltoolkit.errors import ConfigError


def unit_features(shape, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(shape)
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("grid", "pooled"), [((6, 9), 3), ((5, 7), 2), ((4, 3), 8)])
def test_equals_the_explicit_cosine_matrix_pooled_afterwards(grid, pooled):
    features = unit_features((2, 6, *grid))
    flat = features.flatten(2)
    cosines = torch.einsum("bci,bcj->bij", flat, flat)  # N x N
    over_partners = cosines.reshape(-1, 1, *grid)  # each row as a map of its partners
    expected = F.adaptive_avg_pool2d(over_partners, pooled).reshape(2, -1, pooled * pooled)
    found = self_correlation(features, pooled)
    assert found.shape == (2, pooled * pooled, *grid)
    torch.testing.assert_close(found.flatten(2).mT, expected)


def test_full_resolution_gives_the_cosine_matrix_itself():
    features = unit_features((1, 6, 4, 4))
    flat = features.flatten(2)
    torch.testing.assert_close(self_correlation(features, 4).flatten(2), flat.mT @ flat)


def test_map_does_not_change_when_the_channels_are_rotated():
    """What makes it comparable between domains: only similarities within the map count."""
    features = unit_features((1, 6, 4, 6))
    rotation, _ = torch.linalg.qr(torch.randn(6, 6))
    rotated = torch.einsum("dc,bchw->bdhw", rotation, features)
    torch.testing.assert_close(self_correlation(rotated, 2), self_correlation(features, 2))
    assert (rotated - features).abs().max() > 0.1


def test_descriptor_equals_the_plain_mlp_and_has_unit_length():
    torch.manual_seed(0)
    module = SelfCorrelationMap(6, pooled=3, hidden=8, out_channels=5)
    features = unit_features((2, 6, 6, 9))
    found = module(features)
    first, _, second = module.mlp
    x = F.conv2d(self_correlation(features, 3), first.weight, first.bias)
    x = torch.where(x > 0, x, 0.2 * x)
    x = F.conv2d(x, second.weight, second.bias)
    assert module.out_channels == 5
    torch.testing.assert_close(found, x / x.norm(dim=1, keepdim=True))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2, 6, 9))


def test_zero_features_give_finite_values_and_gradients():
    features = torch.zeros(1, 6, 4, 4, requires_grad=True)
    module = SelfCorrelationMap(6, pooled=2, hidden=8, out_channels=5)
    module(features).square().sum().backward()
    assert features.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_half_precision_autocast_keeps_the_similarities_exact():
    features = unit_features((1, 6, 4, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = self_correlation(features, 2)
    torch.testing.assert_close(mixed, self_correlation(features, 2))


def test_pooled_below_one_is_an_error():
    with pytest.raises(ConfigError, match=r"pooled is 0"):
        SelfCorrelationMap(6, pooled=0)
