import pytest
import torch

from mcltoolkit.errors import ConfigError
from mcltoolkit.generators import SPADEGenerator
from mcltoolkit.layers import NORM_KINDS
from mcltoolkit.registry import GENERATORS

CLASSES = 4
VECTORS = ("_u", "_v")


def tiny(**settings):
    settings = {"base_width": 2, "spade_hidden": 6, **settings}
    return SPADEGenerator(3 + CLASSES, **settings)


def inputs(height=64, width=96, batch=2):
    return torch.rand(batch, 3, height, width) * 2 - 1, torch.randn(batch, CLASSES, height, width)


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
    ("classes", "parameters"),
    [(151, 96_664_260), (15, 92_590_788), (20, 92_740_548)],  # ADE20K, CelebA edges, DeepFashion
)
def test_full_size_is_the_paper_s(classes, parameters):
    context = 3 + classes
    with torch.device("meta"):
        generator = SPADEGenerator(context)
    attention = [(), (32, 256, 1, 1), (32, 256, 1, 1), (128, 256, 1, 1), (256, 128, 1, 1)]
    expected = [(1024, context, 3, 3), (1024,)]
    for _ in range(3):
        expected += block_shapes(1024, 1024, context)
    expected += block_shapes(1024, 512, context) + block_shapes(512, 256, context) + attention
    expected += block_shapes(256, 128, context) + block_shapes(128, 64, context)
    expected += [(3, 64, 3, 3), (3,)]
    state = generator.state_dict()
    found = [tuple(v.shape) for name, v in state.items() if not name.endswith(VECTORS)]
    assert found == expected  # in the released order, so that weights can be mapped one to one
    assert sum(p.numel() for p in generator.parameters()) == parameters
    assert generator.stride == 32


def flow(generator, *images):
    """(name, input size, input channels, output channels) of each stage in order of running."""
    seen = []
    for name, stage in generator.stages.items():
        stage.register_forward_hook(
            lambda _, given, out, name=name: seen.append(
                (name, tuple(given[0].shape[2:]), given[0].shape[1], out.shape[1])
            )
        )
    generator(*images)
    return seen


def test_stages_run_at_the_sizes_of_the_figure():
    assert flow(tiny(), *inputs()) == [
        ("head", (2, 3), 32, 32),
        ("middle_0", (4, 6), 32, 32),
        ("middle_1", (4, 6), 32, 32),
        ("up_0", (8, 12), 32, 16),
        ("up_1", (16, 24), 16, 8),
        ("attention", (32, 48), 8, 8),
        ("up_2", (32, 48), 8, 4),
        ("up_3", (64, 96), 4, 2),
    ]


@pytest.mark.parametrize("ups", [1, 2, 3, 4])
@pytest.mark.parametrize("with_attention", [False, True])
def test_attention_is_at_half_size_for_every_depth(ups, with_attention):
    generator = tiny(ups=ups, attention=with_attention)
    assert generator.stride == 2 ** (ups + 1)
    seen = flow(generator, *inputs())
    names = [name for name, *_ in seen]
    sizes = {name: size for name, size, *_ in seen}
    assert sizes[f"up_{ups - 1}"] == (64, 96)
    assert sizes["head"] == (64 // generator.stride, 96 // generator.stride)
    assert ("attention" in names) == with_attention
    if with_attention:
        assert sizes["attention"] == (32, 48)
        assert names.index("attention") == len(names) - 3


def test_first_layer_sees_warped_then_condition_at_the_coarse_grid():
    generator, (warped, condition) = tiny(), inputs()
    seen = []
    generator.first.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    generator(warped, condition)
    torch.testing.assert_close(seen[0][:, :3], warped[:, :, ::32, ::32])
    torch.testing.assert_close(seen[0][:, 3:], condition[:, :, ::32, ::32])


def test_blocks_see_the_whole_context():
    generator, (warped, condition) = tiny(), inputs()
    contexts = []
    generator.stages["up_3"].register_forward_hook(lambda _, given, out: contexts.append(given[1]))
    generator(warped, condition)
    torch.testing.assert_close(contexts[0].dense(), torch.cat([warped, condition], 1))


def test_last_layer_is_leaky_relu_convolution_tanh():
    generator, images = tiny().double().eval(), [x.double() for x in inputs()]
    generator.last.weight.data.mul_(1e3)  # away from the linear part of tanh
    seen = []
    generator.stages["up_3"].register_forward_hook(lambda _, given, out: seen.append(out))
    out = generator(*images)
    x = torch.where(seen[0] > 0, seen[0], 0.2 * seen[0])
    x = torch.nn.functional.conv2d(x, generator.last.weight, generator.last.bias, padding=1)
    torch.testing.assert_close(out, (1 - (-2 * x).exp()) / (1 + (-2 * x).exp()))
    assert out.abs().max() > 0.3


@pytest.mark.parametrize("size", [(64, 96), (32, 32), (32, 64)])
@pytest.mark.parametrize("norm", NORM_KINDS)
def test_sizes_and_norms_from_a_config(size, norm):
    config = dict(
        type="SPADEGenerator",
        context_channels=3 + CLASSES,
        base_width=2,
        spade_hidden=4,
        spade_norm=norm,
    )
    out = GENERATORS.build(config)(*inputs(*size))
    assert out.shape == (2, 3, *size)
    assert out.abs().max() <= 1


def test_gradient_reaches_every_weight_and_the_warped_exemplar():
    generator, (warped, condition) = tiny(), inputs(32, 64)
    generator.stages["attention"].gain.data.fill_(0.5)
    warped.requires_grad_()
    out = generator(warped, condition)
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in [("warped", warped), *generator.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # at the coarsest grid of 1x2 every weight still gets something
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("size", "remedy"),
    [
        ((64, 100), "64x100.*stride 32; nearest allowed: height 64, width 96 or 128"),
        ((16, 64), "16x64.*stride 32; nearest allowed: height 32, width 64"),
    ],
)
def test_size_that_does_not_fit(size, remedy):
    with pytest.raises(ConfigError, match=f"SPADEGenerator cannot take a {remedy}"):
        tiny()(*inputs(*size))


def test_wrong_number_of_condition_channels():
    warped, condition = inputs()
    with pytest.raises(ConfigError, match="condition of 3 channels; it takes 4"):
        tiny()(warped, condition[:, :3])


def test_no_room_to_grow():
    with pytest.raises(ConfigError, match="ups is 0; allowed is 1 or more"):
        tiny(ups=0)


def test_autocast_gives_a_float32_image_close_to_full_precision():
    generator, images = tiny(base_width=4).eval(), inputs(32, 64)
    generator.last.weight.data.mul_(1e3)
    full = generator(*images)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = generator(*images)
    assert mixed.dtype is torch.float32
    assert (mixed - full).norm() / full.norm() < 0.05
