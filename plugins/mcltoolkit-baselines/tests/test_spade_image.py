from itertools import pairwise

import pytest
import torch
from mcltoolkit_baselines.spade_image import SPADEImageGenerator

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import NORM_KINDS, vectors_held
from mcltoolkit.structures import Painting

CLASSES = 4
STYLE = dict(style_channels=6, base_width=2, layers=2)


def tiny(**settings):
    return SPADEImageGenerator(
        3 + CLASSES, **{"base_width": 2, "ups": 2, "spade_hidden": 4, **settings}
    )


def tiny_vae(**settings):
    return tiny(use_vae=True, style=STYLE, start_grid=(2, 3), **settings)


def inputs(height=16, width=24, batch=2):
    return torch.rand(batch, 3, height, width) * 2 - 1, torch.randn(batch, CLASSES, height, width)


def painted(out):
    return out.image if isinstance(out, Painting) else out


def spade(channels, context, hidden=128):
    return 9 * context * hidden + hidden + 2 * (9 * hidden * channels + channels)


def block(start, end, context):
    middle = min(start, end)
    count = 9 * start * middle + middle + 9 * middle * end + end
    count += spade(start, context) + spade(middle, context)
    return count + (start * end + spade(start, context) if start != end else 0)


@pytest.mark.parametrize(
    ("classes", "millions"),
    [(151, 96.49), (36, 93.05), (184, 97.48)],  # as reported: ADE20K, Cityscapes, COCO-Stuff
)
def test_full_size_is_the_paper_s(classes, millions):
    with torch.device("meta"):
        generator = SPADEImageGenerator(3 + classes)
    widths = [1024, 1024, 1024, 1024, 512, 256, 128, 64]
    expected = 9 * classes * 1024 + 1024 + 9 * 64 * 3 + 3
    expected += sum(block(a, b, classes) for a, b in pairwise(widths))
    found = sum(p.numel() for p in generator.parameters())
    assert found == expected
    assert found / 1e6 == pytest.approx(millions, abs=0.006)
    assert generator.stride == 32


def test_a_style_start_replaces_the_first_convolution():
    with torch.device("meta"):
        plain, vae = (SPADEImageGenerator(154, use_vae=use) for use in (False, True))
        encoder = sum(p.numel() for p in vae.style.parameters())
    counts = [sum(p.numel() for p in g.parameters()) for g in (plain, vae)]
    linear = 256 * 65536 + 65536
    assert counts[1] - encoder - linear == counts[0] - (9 * 151 * 1024 + 1024)


def test_the_style_encoder_has_a_gain_of_its_own():
    torch.manual_seed(0)
    small, large = (
        tiny(use_vae=True, start_grid=(2, 3), style={**STYLE, "init_gain": gain})
        for gain in (0.02, 1.0)
    )
    ratio = large.style.mean.weight.std() / small.style.mean.weight.std()
    assert 30 < ratio < 75, "1 / 0.02"
    assert 0.5 < large.last.weight.std() / small.last.weight.std() < 2


def test_the_exemplar_is_not_read():
    generator, (warped, condition) = tiny().eval(), inputs()
    out = generator(warped, condition)
    assert torch.equal(out, generator(-warped, condition))
    assert not torch.equal(out, generator(warped, condition.flip(3)))
    assert out.shape == (2, 3, 16, 24)
    assert generator.provides == frozenset()


def test_guidance_of_another_width_is_not_read_either():
    generator = tiny(guidance_channels=1)
    assert generator.condition_channels == CLASSES + 2


@pytest.mark.parametrize("norm", NORM_KINDS)
@pytest.mark.parametrize("size", [(16, 24), (8, 8), (8, 32)])
def test_sizes_and_norms(norm, size):
    for generator in (tiny(spade_norm=norm), tiny_vae(spade_norm=norm)):
        image = painted(generator(*inputs(*size)))
        assert image.shape == (2, 3, *size)
        assert image.abs().max() <= 1


def test_the_style_comes_from_the_exemplar():
    generator, (warped, condition) = tiny_vae().eval(), inputs()
    with torch.no_grad():
        one, other = generator(warped, condition), generator(warped.flip(0), condition)
        again = generator(warped, condition)
        mean, logvar = generator.style(warped)
    assert not torch.equal(one.image, other.image)
    assert torch.equal(one.extras["style_mean"], mean)
    assert torch.equal(one.extras["style_logvar"], logvar)
    assert set(one.extras) == generator.provides
    assert torch.equal(again.image, one.image)  # the mean: no chance


def test_training_draws_a_style_under_the_seed():
    generator, images = tiny_vae(spade_norm="pono"), inputs()
    with vectors_held(generator):  # so that only the style can differ
        torch.manual_seed(3)
        first, second = (generator(*images).image for _ in range(2))
        torch.manual_seed(3)
        assert torch.equal(generator(*images).image, first)
    assert not torch.equal(first, second)


def test_drawn_styles_do_not_depend_on_the_exemplar():
    generators = [tiny_vae(style_at_test="drawn", style_seed=seed).eval() for seed in (0, 1)]
    generators[1].load_state_dict(generators[0].state_dict())
    warped, condition = inputs()
    with torch.no_grad():
        outs = [g(warped, condition).image for g in generators]
        again = generators[0](-warped, condition).image
    assert torch.equal(outs[0], again)
    assert not torch.equal(outs[0], outs[1])


def test_start_of_another_grid_is_stretched():
    generator = tiny_vae().eval()
    seen = []
    generator.stages["head"].register_forward_hook(lambda _, given, out: seen.append(given[0]))
    for size in ((16, 24), (32, 48)):
        generator(*inputs(*size, batch=1))
    assert [x.shape[2:] for x in seen] == [(2, 3), (4, 6)]
    generator(torch.zeros(1, 3, 16, 24), inputs(32, 48, 1)[1])
    generator(torch.zeros(1, 3, 16, 24), inputs(16, 24, 1)[1])
    doubled = seen[3].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(seen[2], doubled)


@pytest.mark.parametrize("make", [tiny, tiny_vae])
def test_gradient_reaches_every_weight(make):
    generator, (warped, condition) = make(), inputs()
    warped.requires_grad_()
    image = painted(generator(warped, condition))
    (image * torch.randn_like(image)).sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert (warped.grad is not None) == (generator.style is not None)


def test_errors():
    with pytest.raises(ConfigError, match="ups is 0; allowed is 1 or more"):
        tiny(ups=0)
    with pytest.raises(ConfigError, match="style_at_test is 'exemplars'; did you mean 'exemplar'"):
        tiny_vae(style_at_test="exemplars")
    with pytest.raises(ConfigError, match="style is set but use_vae is False"):
        tiny(style=STYLE)
    with pytest.raises(ConfigError, match=r"style does not fit the StyleEncoder.*'width'"):
        tiny(use_vae=True, style=dict(width=3))
    with pytest.raises(ConfigError, match=r"start_grid is \(0, 2\)"):
        tiny(use_vae=True, start_grid=(0, 2))
    with pytest.raises(ConfigError, match="guidance_channels is 7 of 7 context channels"):
        tiny(guidance_channels=7)
    warped, condition = inputs()
    with pytest.raises(ConfigError, match="condition of 3 channels; it takes 4"):
        tiny()(warped, condition[:, :3])
    with pytest.raises(ConfigError, match="SPADEImageGenerator cannot take a 12x24 image"):
        tiny()(*inputs(12, 24))
