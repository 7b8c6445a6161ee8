from itertools import pairwise

import pytest
import torch
from mcltoolkit_baselines.pix2pixhd import Pix2PixHDGenerator

from mcltoolkit.errors import ConfigError

CLASSES = 4


def tiny(**settings):
    return Pix2PixHDGenerator(
        3 + CLASSES,
        **{"base_width": 8, "downs": 2, "blocks": 1, "enhancer_blocks": 1, **settings},
    )


def inputs(height=16, width=24, batch=2):
    return torch.rand(batch, 3, height, width) * 2 - 1, torch.randn(batch, CLASSES, height, width)


def residual(width, count):
    return 2 * count * 9 * width**2


def test_full_size_is_the_paper_s():
    with torch.device("meta"):
        generator = Pix2PixHDGenerator(3 + 36)  # 35 Cityscapes labels and the instance edges
        sizes = [(36, 512, 1024)]
        for layer in generator.coarse:
            layer.register_forward_hook(lambda *seen: sizes.append(tuple(seen[-1].shape[1:])))
        generator(torch.empty(1, 3, 512, 1024), torch.empty(1, 36, 512, 1024))
    widths = [64, 128, 256, 512, 1024]
    down = [(w, 512 >> i, 1024 >> i) for i, w in enumerate(widths)]
    assert sizes == [sizes[0], *down, *[down[-1]] * 9, *down[-2::-1]]
    between = sum(9 * a * b for a, b in pairwise(widths))
    expected = 49 * 36 * 64 + 2 * between + residual(1024, 9) + 49 * 64 * 3 + 3
    found = sum(p.numel() for p in generator.parameters())
    assert found == expected
    assert found / 1e6 == pytest.approx(182.5, abs=0.05)  # as reported
    assert generator.stride == 16


def test_full_size_local_enhancer_is_the_paper_s():
    with torch.device("meta"):
        generator = Pix2PixHDGenerator(3 + 36, enhancers=1)
    (enhancer,) = generator.enhancers
    expected = 49 * 36 * 32 + 2 * 9 * 32 * 64 + residual(64, 3)
    assert sum(p.numel() for p in enhancer.parameters()) == expected
    assert generator.last.weight.shape == (3, 32, 7, 7)
    assert generator.stride == 32


def test_enhancers_join_the_features_from_below():
    generator = tiny(enhancers=2).eval()
    seen = {}

    def watch(name, module):
        module.register_forward_hook(lambda _, given, out: seen.update({name: (given, out)}))

    watch("coarse", generator.coarse)
    for index, enhancer in enumerate(generator.enhancers):
        watch(f"down {index}", enhancer.down)
        watch(f"blocks {index}", enhancer.blocks)
        watch(f"enhancer {index}", enhancer)
    warped, condition = inputs(32, 48)
    out = generator(warped, condition)
    assert out.shape == (2, 3, 32, 48)
    views = [seen["coarse"][0][0], seen["down 0"][0][0], seen["down 1"][0][0]]
    assert [tuple(v.shape[1:]) for v in views] == [(4, 8, 12), (4, 16, 24), (4, 32, 48)]
    assert views[2] is condition
    inner = condition[:, :, 1:4, 3:6].mean((2, 3))  # the window around row 2, column 4
    torch.testing.assert_close(views[1][:, :, 1, 2], inner)
    below = seen["coarse"][1]
    for index in range(2):
        joined = seen[f"down {index}"][1] + below
        torch.testing.assert_close(seen[f"blocks {index}"][0][0], joined)
        below = seen[f"enhancer {index}"][1]
    assert [seen[f"enhancer {i}"][1].shape[1] for i in range(2)] == [4, 2]


def test_weights_of_a_global_network_fit_one_with_enhancers():
    plain, enhanced = tiny(), tiny(enhancers=1)
    enhanced.coarse.load_state_dict(plain.coarse.state_dict())
    kept = {name for name in plain.state_dict() if name in enhanced.state_dict()}
    assert kept == set(plain.state_dict())  # the last layer's width alone differs


@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
@pytest.mark.parametrize("size", [(16, 24), (8, 8), (8, 32)])
def test_sizes(upsampling, size):
    out = tiny(upsampling=upsampling)(*inputs(*size))
    assert out.shape == (2, 3, *size)
    assert out.abs().max() <= 1


@pytest.mark.parametrize("use_warped", [False, True])
def test_the_warped_exemplar_is_read_where_asked(use_warped):
    generator, (warped, condition) = tiny(use_warped=use_warped), inputs()
    seen = []
    generator.coarse.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    one, other = generator(warped, condition), generator(-warped, condition)
    assert torch.equal(one, other) != use_warped
    expected = torch.cat([warped, condition], 1) if use_warped else condition
    assert torch.equal(seen[0], expected)


def test_a_residual_block_is_reflection_and_instance_norm():
    generator = tiny().double()
    block, x = generator.coarse[3], torch.randn(1, 32, 4, 6, dtype=torch.float64)

    def half(values, weight):
        padded = torch.nn.functional.pad(values, (1, 1, 1, 1), mode="reflect")
        out = torch.nn.functional.conv2d(padded, weight)
        mean = out.mean((2, 3), keepdim=True)
        return (out - mean) / (out.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt()

    first, second = block.layers[0].weight, block.layers[3].weight
    expected = x + half(half(x, first).clamp_min(0), second)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("enhancers", [0, 1])
def test_gradient_reaches_every_weight(enhancers):
    generator, (warped, condition) = tiny(enhancers=enhancers, use_warped=True), inputs(16, 32)
    warped.requires_grad_()
    out = generator(warped, condition)
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in [("warped", warped), *generator.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_initial_weights():
    generator = tiny(base_width=32)
    weights = torch.cat([p.flatten() for p in generator.parameters() if p.ndim > 1])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert generator.last.bias.abs().sum() == 0


def test_errors():
    with pytest.raises(ConfigError, match="upsampling is 'nearst'; did you mean 'nearest'"):
        tiny(upsampling="nearst")
    with pytest.raises(ConfigError, match="norm is 'pono'.*allowed are instance, bn, syncbn"):
        tiny(norm="pono")
    with pytest.raises(ConfigError, match="downs 0.*downs 1 or more"):
        tiny(downs=0)
    with pytest.raises(ConfigError, match="base_width is 6, which 2 enhancers cannot halve"):
        tiny(base_width=6, enhancers=2)
    with pytest.raises(ConfigError, match="Pix2PixHDGenerator cannot take a 18x24 image"):
        tiny()(*inputs(18, 24))
    with pytest.raises(ConfigError, match="condition of 3 channels; it takes 4"):
        tiny()(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
