import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from mcltoolkit.layers import Conv, fold_parametrizations, spectral, vectors_held


def pair(*args, **settings):
    """The same convolution with torch's spectral norm and with ours."""
    torch.manual_seed(0)
    theirs = parametrizations.spectral_norm(Conv(*args, **settings))
    torch.manual_seed(0)
    return theirs, spectral(Conv(*args, **settings))


def test_state_initial_values_and_training_are_torch_s():
    theirs, ours = pair(3, 5, 3, stride=2, padding=1)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    for _ in range(3):
        x = torch.randn(2, 3, 8, 8)
        outs = [conv(x) for conv in (theirs, ours)]
        torch.testing.assert_close(outs[1], outs[0])
        for conv, out in zip((theirs, ours), outs, strict=True):
            out.square().sum().backward()
            with torch.no_grad():
                for parameter in conv.parameters():
                    parameter -= 0.01 * parameter.grad
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_the_weight_reads_as_the_normalised_one_with_its_gradient():
    theirs, ours = pair(3, 5, 3)
    grads = []
    for conv in (theirs.eval(), ours.eval()):
        weight = conv.weight
        weight.square().sum().backward()
        grads.append((weight.detach(), conv.parametrizations.weight.original.grad))
    torch.testing.assert_close(grads[1], grads[0])


def test_a_weight_can_be_assigned():
    conv = spectral(Conv(3, 5, 3)).eval()
    value = torch.randn(5, 3, 3, 3)
    conv.weight = value
    assert torch.equal(conv.parametrizations.weight.original, value)


def test_vectors_stand_still_inside_and_move_again_outside():
    network = nn.Sequential(spectral(Conv(3, 5, 3)), spectral(Conv(5, 4, 1)))
    x = torch.randn(1, 3, 8, 8)
    first = network(x)
    before = copy.deepcopy(network.state_dict())
    with vectors_held(network):
        again = network(x)
        with vectors_held(network[0]):
            pass
        network(x)
    torch.testing.assert_close(again, first)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    network(x)
    assert not torch.equal(network[0].parametrizations.weight[0]._u, before[next(
        k for k in before if k.startswith("0.") and k.endswith("_u"))])  # fmt: skip


def test_vectors_move_again_after_an_error():
    conv = spectral(Conv(3, 5, 3))
    with pytest.raises(KeyError), vectors_held(conv):
        raise KeyError
    assert not conv.parametrizations.weight[0].held


def test_folding_divides_in_place_and_keeps_outputs_to_the_bit():
    network = nn.Sequential(spectral(Conv(3, 5, 3)), spectral(Conv(5, 4, 1)), Conv(4, 4, 1)).eval()
    other = copy.deepcopy(network)
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        expected = network(x)
        place = network[0].parametrizations.weight.original.data_ptr()
        assert fold_parametrizations(network) is network
        assert torch.equal(network(x), expected)
        assert torch.equal(other(x), expected), "a copy stays as it was"
    assert type(network[0]) is Conv
    assert network[0].weight.data_ptr() == place
    assert {*network.state_dict()} == {f"{i}.{n}" for i in range(3) for n in ("weight", "bias")}


def test_folding_takes_other_parametrizations_too():
    linear = parametrizations.weight_norm(nn.Linear(3, 4))
    expected = linear.weight.detach().clone()
    fold_parametrizations(linear)
    assert not parametrize.is_parametrized(linear)
    assert torch.equal(linear.weight, expected)


def test_a_weight_with_further_parametrizations_is_read():
    class Twice(nn.Module):
        def forward(self, weight):
            return 2 * weight

    conv = spectral(Conv(3, 5, 3)).eval()
    x = torch.randn(1, 3, 8, 8)
    bias = conv.bias.view(-1, 1, 1)
    expected = 2 * (conv(x) - bias) + bias
    parametrize.register_parametrization(conv, "weight", Twice())
    torch.testing.assert_close(conv(x), expected)
