import math

import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_backbones.decoder import FeatureDecoder, resize, token_factors

from mcltoolkit.errors import ConfigError


@pytest.mark.parametrize(
    ("count", "patch", "stride", "factors"),
    [
        (4, 16, 4, [4, 2, 1, 1]),
        (4, 14, 4, [4, 2, 1, 1]),
        (3, 32, 4, [8, 4, 2]),
        (2, 8, 8, [1, 1]),
        (1, 8, 16, [1]),
    ],
)
def test_shallow_blocks_go_to_finer_grids(count, patch, stride, factors):
    assert token_factors(count, patch, stride) == factors


def test_the_sum_from_coarse_to_fine_written_out():
    decoder = FeatureDecoder([3, 5], out_channels=4, width=6, norm="none").double()
    fine, coarse = torch.randn(2, 3, 8, 12).double(), torch.randn(2, 5, 4, 6).double()

    def conv(x, layer):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias)

    def lateral(x, layer):
        return torch.einsum("bchw,oc->bohw", x, layer.weight[:, :, 0, 0]) + layer.bias.view(
            -1, 1, 1
        )

    def up(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def leaky(x):
        return torch.where(x > 0, x, 0.2 * x)

    x = leaky(conv(lateral(coarse, decoder.lateral[1]), decoder.refine[1][0]))
    x = leaky(conv(up(x) + lateral(fine, decoder.lateral[0]), decoder.refine[0][0]))
    expected = conv(up(x), decoder.head)
    torch.testing.assert_close(decoder([fine, coarse], (16, 24)), expected)


def test_a_token_writes_inside_its_patch_only():
    decoder = FeatureDecoder([3], out_channels=4, width=6, factors=[4])
    x = torch.zeros(1, 3, 2, 3)
    before = decoder.lateral[0](x)
    x[0, :, 1, 2] = 1
    moved = (decoder.lateral[0](x) - before).abs().sum(1)[0] > 0
    assert moved.shape == (8, 12)
    assert moved[4:, 8:].all()
    assert moved.sum() == 16


@pytest.mark.parametrize("norm", ["pono", "instance", "bn", "syncbn", "none"])
@pytest.mark.parametrize("grid", [(4, 6), (1, 1), (9, 5)])
def test_any_grid_and_norm(norm, grid):
    decoder = FeatureDecoder([3, 5, 7], out_channels=4, width=6, norm=norm)
    maps = [torch.randn(2, c, s, s + 1) for c, s in ((3, 6), (5, 3), (7, 1))]
    assert decoder(maps, grid).shape == (2, 4, *grid)


def test_resizing_keeps_areas_in_place():
    """A ramp stays a ramp, up and down, sampled at the middle of each new cell."""
    middles = (torch.arange(16) + 0.5) / 16
    ramp = middles.expand(1, 1, 16, 16)
    for size in (8, 32):
        inner = slice(size // 4, -(size // 4))
        expected = ((torch.arange(size) + 0.5) / size)[inner]
        torch.testing.assert_close(resize(ramp, (size, size))[0, 0, 0][inner], expected)
    assert resize(ramp, (16, 16)) is ramp
    assert math.isclose(resize(ramp, (4, 4)).mean().item(), 0.5, abs_tol=1e-6)


def test_what_all_positions_share_is_taken_off():
    """Features of two positions are far from parallel, though their maps nearly are."""
    maps = [1 + 0.1 * torch.randn(2, c, s, s) for c, s in ((12, 8), (16, 4))]
    apart = {}
    for norm in ("instance", "none"):
        features = FeatureDecoder([12, 16], 16, 16, norm=norm)(maps, (8, 8))
        unit = F.normalize(features.flatten(2), dim=1)
        apart[norm] = torch.einsum("bcn,bcm->bnm", unit, unit).mean()
    assert apart["instance"] < 0.6 < 0.9 < apart["none"]


@pytest.mark.parametrize("setting", [{"out_channels": 0}, {"width": 0}])
def test_setting_out_of_range(setting):
    with pytest.raises(ConfigError, match="is 0; allowed is 1 or more"):
        FeatureDecoder(**{"channels": [3], "out_channels": 4, "width": 4, **setting})
