import pytest
import torch
import torch.nn.functional as F

from mcltoolkit import context
from mcltoolkit.context import OneHot
from mcltoolkit.discriminators import MultiScaleDiscriminator
from mcltoolkit.discriminators.multi_scale import halve
from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import NORM_KINDS
from mcltoolkit.registry import DISCRIMINATORS

CLASSES = 4
VECTORS = ("_u", "_v")


def tiny(**settings):
    return MultiScaleDiscriminator(CLASSES + 3, **{"base_width": 4, **settings})


def inputs(height=64, width=96, batch=2):
    return torch.randn(batch, CLASSES, height, width), torch.rand(batch, 3, height, width) * 2 - 1


@pytest.mark.parametrize(
    ("classes", "parameters"),
    # ADE20K, CelebA-HQ edges, DeepFashion. The released files have 0.86 M more (6.9 M on ADE20K)
    # in a decoder that no forward pass uses.
    [(151, 6_000_772), (15, 5_722_244), (20, 5_732_484)],
)
def test_full_size_is_the_paper_s(classes, parameters):
    with torch.device("meta"):
        discriminator = MultiScaleDiscriminator(classes + 3)
    one_scale = [
        (),
        (32, 256, 1, 1),
        (32, 256, 1, 1),
        (128, 256, 1, 1),
        (256, 128, 1, 1),
        (64, classes + 3, 4, 4),
        (64,),
        (128, 64, 4, 4),
        (256, 128, 4, 4),
        (512, 256, 4, 4),
        (1, 512, 4, 4),
        (1,),
    ]
    state = discriminator.state_dict()
    found = [tuple(v.shape) for name, v in state.items() if not name.endswith(VECTORS)]
    assert found == 2 * one_scale  # in the released order, so that weights can be mapped
    assert sum(p.numel() for p in discriminator.parameters()) == parameters


def test_layer_outputs():
    scales = tiny()(*inputs()).scales
    assert [[tuple(layer.shape[1:]) for layer in scale] for scale in scales] == [
        [(4, 32, 48), (8, 16, 24), (16, 8, 12), (32, 7, 11), (1, 6, 10)],
        [(4, 16, 24), (8, 8, 12), (16, 4, 6), (32, 3, 5), (1, 2, 4)],
    ]


def test_widths_stop_at_eight_times_the_base():
    scale = tiny(layers=5, scales=1)(*inputs()).scales[0]
    assert [layer.shape[1] for layer in scale] == [4, 8, 16, 32, 32, 1]


def test_one_scale_is_the_plain_formula():
    discriminator = tiny().double().eval()
    condition, image = (x.double() for x in inputs())
    scale = discriminator.scales[0]
    scale.attention.gain.data.fill_(0.5)
    x = torch.cat([condition, image], 1)
    expected = []
    for index, stride in enumerate((2, 2, 2, 1, 1)):
        stage = scale.stages[index]
        plain = index in (0, 4)
        conv = stage if plain else stage[0]
        assert (conv.bias is not None) == plain
        if index == 3:
            x = scale.attention(x)  # it has a test of its own
        x = F.conv2d(x, conv.weight, conv.bias, stride, padding=1)
        if not plain:
            mean = x.mean((2, 3), keepdim=True)
            x = (x - mean) / ((x - mean).square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
        if index < 4:
            x = torch.where(x > 0, x, 0.2 * x)
        expected.append(x)
    found = discriminator(condition, image).scales[0]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1)])
def test_halving_does_not_count_the_padding(size):
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    out = halve(x)
    rows, columns = -(-size[0] // 2), -(-size[1] // 2)
    assert out.shape == (1, 2, rows, columns)
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
            torch.testing.assert_close(out[:, :, i, j], window.mean((2, 3)))


def test_coarser_scales_see_halved_input():
    discriminator = tiny(scales=3).eval()
    condition, image = inputs(128, 96)
    x = torch.cat([condition, image], 1)
    found = discriminator(condition, image)
    for index, scale in enumerate(discriminator.scales):
        for a, b in zip(found.scales[index], scale(x), strict=True):
            torch.testing.assert_close(a, b)
        x = halve(x)


def test_a_stacked_batch_judges_each_image_alone():
    discriminator = tiny().eval()
    condition, fake = inputs()
    _, real = inputs()
    both = discriminator(torch.cat([condition, condition]), torch.cat([fake, real]))
    alone = discriminator(condition, real)
    for a, b in zip(both.scales, alone.scales, strict=True):
        for stacked, single in zip(a, b, strict=True):
            torch.testing.assert_close(stacked[2:], single, atol=1e-5, rtol=1e-4)


def test_gradient_reaches_every_weight_and_the_image():
    discriminator = tiny()
    for scale in discriminator.scales:
        scale.attention.gain.data.fill_(0.5)
    condition, image = inputs()
    image.requires_grad_()
    scores = discriminator(condition, image).scores
    torch.stack([(score * torch.randn_like(score)).sum() for score in scores]).sum().backward()
    for name, parameter in [("image", image), *discriminator.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("norm", NORM_KINDS)
def test_norms_come_from_the_config(norm):
    config = dict(
        type="MultiScaleDiscriminator",
        in_channels=CLASSES + 3,
        base_width=4,
        norm=norm,
        attention=False,
    )
    scores = DISCRIMINATORS.build(config)(*inputs()).scores
    assert [tuple(score.shape) for score in scores] == [(2, 1, 6, 10), (2, 1, 2, 4)]
    assert all(score.isfinite().all() for score in scores)


@pytest.mark.parametrize(("layers", "scales"), [(4, 2), (3, 2), (2, 1), (4, 3)])
def test_smallest_size_works_and_one_less_is_refused(layers, scales):
    discriminator = tiny(layers=layers, scales=scales)
    size = discriminator.smallest_size()
    scores = discriminator(*inputs(size, size)).scores
    assert scores[-1].numel() > 0
    with pytest.raises(ConfigError, match=f"{size - 1}x{size} image.*at least {size}"):
        discriminator(*inputs(size - 1, size))


@pytest.mark.parametrize("setting", [{"layers": 1}, {"scales": 0}])
def test_setting_out_of_range(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ConfigError, match=f"{name} is {value}; allowed is"):
        tiny(**setting)


def test_the_doubling_ends_at_the_given_width():
    discriminator = MultiScaleDiscriminator(9, base_width=4, layers=5, max_width=10)
    widths = [stage[0].out_channels for stage in discriminator.scales[0].stages[1:-1]]
    assert widths == [8, 10, 10, 10]
    assert discriminator.scales[0].attention.query.in_channels == 10


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize("dense", [False, True])
def test_conditions_are_given_once_for_several_images(monkeypatch, few, dense):
    monkeypatch.setattr(context, "FEW_CHANNELS", few)
    discriminator = tiny(scales=3).double().eval()
    ids = torch.randint(0, CLASSES, (2, 96, 100))
    one_hot = F.one_hot(ids, CLASSES).permute(0, 3, 1, 2).double()
    image = torch.randn(4, 3, 96, 100, dtype=torch.float64, requires_grad=True)
    found = discriminator(one_hot if dense else OneHot(ids, CLASSES), image)
    expected = discriminator(torch.cat([one_hot, one_hot]), image)
    inputs = [image, *discriminator.parameters()]

    def gradients(judged):
        total = sum(layer.square().sum() for scale in judged.scales for layer in scale)
        return torch.autograd.grad(total, inputs)

    for ours, theirs in zip(found.scales, expected.scales, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    for one, other in zip(gradients(found), gradients(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)
