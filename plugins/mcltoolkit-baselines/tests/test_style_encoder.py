import pytest
import torch
from mcltoolkit_baselines.style_encoder import StyleEncoder, draw_style, fixed_style

from mcltoolkit.errors import ConfigError


def tiny(**settings):
    return StyleEncoder(**{"style_channels": 6, "base_width": 4, "layers": 3, **settings})


def test_full_size_is_the_paper_s():
    with torch.device("meta"):
        encoder = StyleEncoder()
        sizes = []
        for stage in encoder.stages:
            stage.register_forward_hook(lambda *seen: sizes.append(tuple(seen[-1].shape[1:])))
        mean, logvar = encoder(torch.empty(2, 3, 256, 256))
    sides = (128, 64, 32, 16, 8, 4)
    widths = (64, 128, 256, 512, 512, 512)
    assert sizes == [(w, s, s) for w, s in zip(widths, sides, strict=True)]
    assert mean.shape == logvar.shape == (2, 256)
    convolutions = sum(9 * a * b for a, b in zip((3, *widths), widths, strict=False))
    linear = 2 * (8192 * 256 + 256)
    assert sum(p.numel() for p in encoder.parameters()) == convolutions + linear


@pytest.mark.parametrize("size", [(32, 48), (48, 16), (8, 16), (96, 96)])
def test_any_size(size):
    mean, logvar = tiny()(torch.rand(2, 3, *size) * 2 - 1)
    assert mean.shape == logvar.shape == (2, 6)


def test_a_map_of_the_pooled_size_is_read_as_it_is():
    encoder, image = tiny(pooled=4).eval(), torch.rand(1, 3, 32, 32)
    x = image
    for stage in encoder.stages:
        x = torch.nn.functional.leaky_relu(stage(x), 0.2)
    expected = x.reshape(1, -1) @ encoder.mean.weight.T + encoder.mean.bias
    torch.testing.assert_close(encoder(image)[0], expected)


def test_other_images_have_other_styles_and_gradient_reaches_all():
    encoder = tiny()
    mean, logvar = encoder(torch.rand(2, 3, 32, 32))
    assert not torch.equal(mean[0], mean[1])
    (mean.square().sum() + logvar.sum()).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_drawn_styles_have_the_mean_and_the_variance():
    mean = torch.tensor([0.5, -2.0, 0.0])
    logvar = torch.tensor([0.0, 1.0, -3.0])
    count = 40_000
    drawn = draw_style(mean.expand(count, -1), logvar.expand(count, -1))
    deviation = (logvar / 2).exp()
    # five standard errors
    assert (drawn.mean(0) - mean).abs().div(deviation).max() < 5 / count**0.5
    assert (drawn.var(0) / logvar.exp() - 1).abs().max() < 5 * (2 / count) ** 0.5


def test_gradient_of_a_drawn_style():
    mean = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    logvar = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    z = draw_style(mean, logvar)
    z.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(logvar.grad, (z - mean).detach() / 2)  # d/dv of eps e^(v/2)


def test_half_precision_is_drawn_in_float32():
    half = torch.zeros(2, 3, dtype=torch.bfloat16)
    assert draw_style(half, half).dtype is torch.float32


def test_autocast_gives_float32():
    with torch.autocast("cpu", torch.bfloat16):
        mean, logvar = tiny()(torch.rand(2, 3, 32, 32))
    assert mean.dtype is logvar.dtype is torch.float32


def test_a_fixed_style_depends_on_the_seed_alone():
    like = torch.zeros(3, 8)
    first = fixed_style(1, like)
    torch.manual_seed(99)
    assert torch.equal(fixed_style(1, like[:2]), first[:2])
    assert torch.equal(first[0], first[2])
    assert not torch.equal(fixed_style(2, like), first)


def test_errors():
    with pytest.raises(ConfigError, match="16x16 image: after 4 halvings a single position"):
        tiny(layers=4)(torch.rand(2, 3, 16, 16))
    with pytest.raises(ConfigError, match=r"StyleEncoder.layers is 0; allowed is 1 or more"):
        tiny(layers=0)
