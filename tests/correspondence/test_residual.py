import torch
import torch.nn.functional as F

from mcltoolkit.correspondence import SharedResidualBlock


def instance_norm(x, eps=1e-5):
    mean = x.mean((2, 3), keepdim=True)
    variance = (x - mean).square().mean((2, 3), keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


def test_equals_the_plain_formula_with_one_slope_for_both_activations():
    torch.manual_seed(0)
    block = SharedResidualBlock(5)
    with torch.no_grad():
        block.prelu.weight.fill_(0.3)
    x = torch.randn(2, 5, 4, 7)

    def conv(value, layer):
        return F.conv2d(F.pad(value, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias)

    def prelu(value):
        return torch.where(value > 0, value, 0.3 * value)

    inner = prelu(instance_norm(conv(x, block.conv1)))
    expected = prelu(instance_norm(conv(inner, block.conv2)) + x)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_parameter_names_are_those_of_the_released_checkpoints():
    assert set(SharedResidualBlock(4).state_dict()) == {
        "conv1.weight",
        "conv1.bias",
        "prelu.weight",
        "conv2.weight",
        "conv2.bias",
    }
