import copy

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.layers import Conv, spectral


def test_reflection_is_applied_before_the_convolution():
    conv = Conv(2, 5, 3, dilation=2, reflect=2).double()
    x = torch.randn(2, 2, 6, 9, dtype=torch.float64)
    padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
    expected = F.conv2d(padded, conv.weight, conv.bias, dilation=2)
    torch.testing.assert_close(conv(x), expected)
    assert conv(x).shape == (2, 5, 6, 9)


def test_a_map_that_is_padded_already():
    conv = Conv(2, 5, 3, reflect=1)
    x = torch.randn(2, 2, 6, 9)
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    assert torch.equal(conv(padded, padded=True), conv(x))


def test_zero_padding_is_that_of_torch():
    conv = Conv(2, 5, 4, stride=2, padding=1, bias=False)
    x = torch.randn(2, 2, 6, 8)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, None, 2, 1))


def test_largest_singular_value_goes_to_one_in_training():
    conv = Conv(4, 8, 3, padding=1)
    torch.nn.init.normal_(conv.weight, std=3.0)
    conv = spectral(conv)
    x = torch.randn(1, 4, 5, 5)
    for _ in range(30):
        conv(x)
    conv.eval()
    largest = torch.linalg.svdvals(conv.weight.detach().flatten(1))[0]
    assert abs(largest.item() - 1) < 1e-3


def test_evaluation_leaves_the_singular_vectors_alone():
    conv = spectral(Conv(4, 8, 3, padding=1)).eval()
    before = copy.deepcopy(conv.state_dict())
    first, second = conv(torch.ones(1, 4, 5, 5)), conv(torch.ones(1, 4, 5, 5))
    assert torch.equal(first, second)
    assert all(torch.equal(value, before[name]) for name, value in conv.state_dict().items())


def test_power_iteration_runs_outside_autocast(monkeypatch):
    conv = spectral(Conv(4, 8, 3, padding=1))
    seen = []
    monkeypatch.setattr(
        conv.parametrizations.weight[0],
        "advance",
        lambda weight: seen.append(torch.is_autocast_enabled("cpu")) or weight.new_ones(()),
    )
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(torch.randn(1, 4, 5, 5))
    assert seen == [False]
    assert out.dtype is torch.bfloat16  # the convolution itself is inside


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_singular_vectors_are_the_same_with_and_without_autocast():
    plain = spectral(Conv(16, 32, 3, padding=1)).cuda()
    mixed = copy.deepcopy(plain)
    x = torch.randn(1, 16, 5, 5, device="cuda")
    for _ in range(3):
        plain(x)
        with torch.autocast("cuda", torch.float16):
            mixed(x)
    torch.testing.assert_close(mixed.state_dict(), plain.state_dict())


def test_on_the_meta_device_spectral_norm_is_shapes_alone():
    real = spectral(Conv(3, 5, 3))
    with torch.device("meta"):
        meta = spectral(Conv(3, 5, 3))
    state = real.state_dict()
    assert {k: v.shape for k, v in meta.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    assert meta.weight.shape == real.weight.shape
    meta.to_empty(device="cpu").load_state_dict(state)
    with pytest.raises(RuntimeError, match="meta device"):
        meta(torch.ones(1, 3, 8, 8))
