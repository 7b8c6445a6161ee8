import torch

from mcltoolkit.layers import SqueezeExcitation


def test_gate_depends_on_the_mean_of_each_channel():
    layer = SqueezeExcitation(32).double()
    x = torch.randn(2, 32, 4, 6, dtype=torch.float64)
    pooled = x.flatten(2).sum(2) / 24
    hidden = (pooled @ layer.reduce.weight.T).clamp(min=0)
    assert hidden.shape == (2, 2)
    gate = 1 / (1 + (-(hidden @ layer.expand.weight.T)).exp())
    torch.testing.assert_close(layer(x), x * gate.view(2, 32, 1, 1))


def test_hidden_width_follows_the_reduction():
    assert SqueezeExcitation(256, reduction=16).reduce.weight.shape == (16, 256)
