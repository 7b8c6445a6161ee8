import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.encoders import DomainEncoder
from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import NORM_KINDS
from mcltoolkit.registry import ENCODERS

VECTORS = ("_u", "_v")


def tiny(**settings):
    settings = {"in_channels": 5, "base_width": 4, "spade_hidden": 6, **settings}
    return DomainEncoder(**settings)


def spade_shapes(channels, context, hidden=128):
    shared = [(hidden, context, 3, 3), (hidden,)]
    return shared + 2 * [(channels, hidden, 3, 3), (channels,)]


def block_shapes(start, end, context):
    middle = min(start, end)
    shapes = [(middle,), (middle, start, 3, 3), (end,), (end, middle, 3, 3)]
    shapes += [(end, start, 1, 1)] if start != end else []
    shapes += spade_shapes(start, context) + spade_shapes(middle, context)
    return shapes + (spade_shapes(start, context) if start != end else [])


@pytest.mark.parametrize(
    ("channels", "kernel", "parameters"),
    [  # the released ADE20K, CelebA-HQ edge and DeepFashion networks; image encoders at 3 channels
        (151, 3, 24_227_776),
        (3, 3, 22_949_056),
        (15, 4, 24_027_584),
        (20, 4, 24_070_784),
        (3, 4, 23_923_904),
    ],
)
def test_full_size_is_the_paper_s(channels, kernel, parameters):
    with torch.device("meta"):
        encoder = DomainEncoder(channels, stride_kernel=kernel)
    k = (kernel, kernel)
    expected = [
        (64, channels, 3, 3),
        (128, 64, *k),
        (256, 128, 3, 3),
        (512, 256, *k),
        (512, 512, 3, 3),
        *block_shapes(512, 512, channels),
        *block_shapes(512, 512, channels),
        *block_shapes(512, 256, channels),
    ]
    state = encoder.state_dict()
    found = [tuple(v.shape) for name, v in state.items() if not name.endswith(VECTORS)]
    assert found == expected  # in the released order, so that weights can be mapped one to one
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    assert (encoder.out_channels, encoder.stride) == (256, 4)


def test_convolutions_are_wired_as_in_the_figure():
    encoder = tiny(spade_blocks=1).double().eval()
    x = torch.randn(2, 5, 16, 24, dtype=torch.float64)
    features = x
    for index, (stage, stride) in enumerate(zip(encoder.stages, (1, 2, 1, 2, 1), strict=True)):
        assert stage[0].bias is None
        features = F.conv2d(features, stage[0].weight, None, stride, padding=1)
        mean = features.mean((2, 3), keepdim=True)
        variance = (features - mean).square().mean((2, 3), keepdim=True)
        features = (features - mean) / (variance + 1e-5).sqrt()
        if index < 4:
            features = torch.where(features > 0, features, 0.2 * features)
    expected = encoder.blocks[0](features, x)  # the block has a test of its own
    torch.testing.assert_close(encoder(x), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("second_stride", [1, 2])
@pytest.mark.parametrize("size", [(64, 96), (32, 32), (4, 8)])
def test_grid_is_size_over_stride(kernel, second_stride, size):
    encoder = tiny(stride_kernel=kernel, second_stride=second_stride)
    assert encoder.stride == 2 * second_stride
    grid = [side // encoder.stride for side in size]
    out = encoder(torch.randn(2, 5, *size))
    assert out.shape == (2, 16, *grid)
    assert out.isfinite().all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"non_local": True},
        {"extra_blocks": True},
        {"squeeze_excitation": True},
        {"spade_blocks": 1, "non_local": True, "out_channels": 10},
        {"non_local": True, "extra_blocks": True, "squeeze_excitation": True, "stride_kernel": 4},
    ],
)
def test_every_option_trains_every_weight(options):
    encoder = tiny(**options)
    if encoder.attention is not None:
        encoder.attention.gain.data.fill_(0.5)  # at 0 nothing behind it gets gradient
    x = torch.randn(2, 5, 16, 24, requires_grad=True)
    out = encoder(x)
    assert out.shape == (2, encoder.out_channels, 4, 6)
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in [("x", x), *encoder.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_extra_blocks_are_dilated():
    encoder = tiny(extra_blocks=True)
    assert [block.conv_0.dilation for block in encoder.extra_blocks] == [(1, 1), (2, 2), (4, 4)]


@pytest.mark.parametrize("norm", NORM_KINDS)
def test_norms_come_from_the_config(norm):
    config = dict(type="DomainEncoder", in_channels=5, base_width=4, norm=norm, spade_norm=norm)
    out = ENCODERS.build(config)(torch.randn(2, 5, 64, 96))
    assert out.shape == (2, 16, 16, 24)
    assert out.isfinite().all()


@pytest.mark.parametrize(
    ("size", "second_stride", "remedy"),
    [
        ((62, 96), 2, "62x96.*stride 4; nearest allowed: height 60 or 64, width 96"),
        ((64, 97), 1, "64x97.*stride 2; nearest allowed: height 64, width 96 or 98"),
    ],
)
def test_size_that_does_not_fit(size, second_stride, remedy):
    with pytest.raises(ConfigError, match=f"DomainEncoder cannot take a {remedy}"):
        tiny(second_stride=second_stride)(torch.randn(1, 5, *size))


@pytest.mark.parametrize(
    "setting", [{"stride_kernel": 5}, {"second_stride": 4}, {"spade_blocks": 0}]
)
def test_setting_out_of_range(setting):
    (name, value), *_ = setting.items()
    with pytest.raises(ConfigError, match=f"DomainEncoder.{name} is {value}; allowed"):
        tiny(**setting)


def test_autocast_is_close_to_full_precision():
    encoder = tiny(base_width=8).eval()
    x = torch.randn(2, 5, 16, 24)
    full = encoder(x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(x)
    assert (mixed - full).norm() / full.norm() < 0.05
