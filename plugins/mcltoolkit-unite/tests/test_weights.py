import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_unite.weights import FeatureWeights, log_weights, uniform_log_weights


def test_weights_are_the_softmax_of_the_product_with_the_mean():
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 4, 6), torch.randn(2, 4, 3)
    found = log_weights(ours, theirs).exp()
    for i in range(2):
        scores = torch.stack([ours[i, :, n] @ theirs[i].mean(1) for n in range(6)]).exp()
        torch.testing.assert_close(found[i], scores / scores.sum())


def test_what_has_a_counterpart_weighs_more():
    torch.manual_seed(0)
    shared, alone = F.normalize(torch.randn(2, 16, 1), dim=1)
    ours = torch.cat([shared.expand(-1, 5), alone.expand(-1, 4)], 1)[None]
    found = log_weights(ours, shared.expand(-1, 7)[None])[0]
    assert found[:5].min() > found[5:].max()


@pytest.mark.parametrize("centre", ["channels", "positions"])
def test_weights_of_each_side_sum_to_one_and_train(centre):
    torch.manual_seed(0)
    module = FeatureWeights(3, 5, centre)
    maps = [torch.randn(2, 3, *grid).requires_grad_() for grid in ((3, 4), (2, 5))]
    ours, theirs = module(*maps)
    assert ours.shape == (2, 12)
    assert theirs.shape == (2, 10)
    for found in (ours, theirs):
        torch.testing.assert_close(found.exp().sum(1), torch.ones(2))
    (ours.exp().square().sum() + theirs.exp().square().sum()).backward()
    for values in (*maps, *module.parameters()):
        assert values.grad.isfinite().all()
        assert values.grad.abs().sum() > 0


def test_uniform_weights_are_equal():
    found = uniform_log_weights(torch.zeros(2, 3, 4, 5, dtype=torch.bfloat16))
    torch.testing.assert_close(found.exp(), torch.full((2, 20), 1 / 20))
