import pytest
import torch

from mcltoolkit.correspondence import (
    average_pool,
    fold_patches,
    pool_factor,
    unfold_patches,
    upsample,
)
from mcltoolkit.errors import ConfigError


def test_average_pool_is_the_mean_of_each_cell():
    image = torch.rand(2, 3, 6, 12)
    pooled = average_pool(image, (3, 4))
    for row in range(3):
        for column in range(4):
            cell = image[:, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
            torch.testing.assert_close(pooled[:, :, row, column], cell.mean((2, 3)))


def test_patches_are_the_pixels_of_each_cell_and_fold_back():
    image = torch.rand(2, 3, 6, 12)
    patches = unfold_patches(image, (3, 4))
    assert patches.shape == (2, 3 * 2 * 3, 12)
    for row in range(3):
        for column in range(4):
            cell = image[:, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
            torch.testing.assert_close(patches[:, :, row * 4 + column], cell.flatten(1))
    torch.testing.assert_close(fold_patches(patches, (3, 4), (2, 3)), image)


def test_nearest_upsampling_repeats_and_bilinear_keeps_a_ramp():
    values = torch.rand(1, 2, 3, 4)
    repeated = values.repeat_interleave(2, 2).repeat_interleave(3, 3)
    torch.testing.assert_close(upsample(values, (6, 12), "nearest"), repeated)
    ramp = torch.arange(4.0).expand(1, 1, 3, 4)
    up = upsample(ramp, (6, 8), "bilinear")[0, 0, 0]
    # pixel centres: output pixel p lies at (p + 0.5) / 2 - 0.5, clamped at the border
    torch.testing.assert_close(up, ((torch.arange(8) + 0.5) / 2 - 0.5).clamp(0, 3))


def test_size_that_the_grid_does_not_divide_is_an_error():
    assert pool_factor((6, 12), (3, 4)) == (2, 3)
    with pytest.raises(ConfigError, match=r"66x64.*16x16.*divisible"):
        pool_factor((66, 64), (16, 16))
