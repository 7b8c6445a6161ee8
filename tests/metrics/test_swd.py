import numpy as np
import pytest
import scipy.ndimage
import torch

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics import SWD, laplacian_pyramid, patches_of, swd
from mcltoolkit.metrics.swd import DIRECTIONS, REPEATS


def plain_pyramid(image):
    """By scipy's convolution in float64, after the released code of progressive GAN."""
    line = np.array([1, 4, 6, 4, 1.0])
    kernel = np.outer(line, line) / 256
    levels = []
    while min(image.shape[1:]) // 2 >= 16:
        blurred = [scipy.ndimage.convolve(channel, kernel, mode="mirror") for channel in image]
        coarse = np.stack(blurred)[:, ::2, ::2]
        spread = np.zeros_like(image)
        spread[:, ::2, ::2] = coarse
        up = [scipy.ndimage.convolve(channel, 4 * kernel, mode="mirror") for channel in spread]
        levels.append(image - np.stack(up))
        image = coarse
    return [*levels, image]


def plain_swd(first, second, seed):
    """By loops in float64: normalise by channel, project, sort, mean of differences."""
    sets = []
    for patches in (first, second):
        patches = patches.double().numpy().copy()
        for channel in range(3):
            values = patches[:, channel]
            patches[:, channel] = (values - values.mean()) / values.std()
        sets.append(patches.reshape(len(patches), -1))
    random, total = np.random.default_rng(seed), 0.0
    for _ in range(REPEATS):
        drawn = random.standard_normal((sets[0].shape[1], DIRECTIONS))
        for direction in drawn.T:
            direction = direction / np.sqrt((direction**2).sum())
            ours, theirs = (sorted(patch @ direction for patch in patches) for patches in sets)
            total += sum(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / len(ours)
    return 1000 * total / (REPEATS * DIRECTIONS)


@pytest.mark.parametrize("size", [(64, 64), (33, 70), (16, 20)])
def test_pyramid_equals_scipys_convolutions(size):
    image = torch.rand(3, *size) * 255
    found = laplacian_pyramid(image[None])
    expected = plain_pyramid(image.double().numpy())
    assert [tuple(level.shape[1:]) for level in found] == [level.shape for level in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours[0].numpy() - theirs).max() < 1e-3


def test_patches_are_cut_where_the_seed_says():
    image = torch.rand(3, 40, 33) * 255
    found = patches_of(image, 5, (1, 2))
    random = np.random.default_rng([1, 2])
    for level, patches in zip(plain_pyramid(image.double().numpy()), found, strict=True):
        tops = random.integers(0, level.shape[1] - 6, 5)
        lefts = random.integers(0, level.shape[2] - 6, 5)
        for patch, top, left in zip(patches.numpy(), tops, lefts, strict=True):
            expected = level[:, top : top + 7, left : left + 7]
            assert np.abs(patch - expected).max() < 1e-3


def test_distance_equals_plain_loops():
    first = torch.rand(20, 3, 7, 7)
    second = torch.rand(20, 3, 7, 7) ** 2 * torch.linspace(0.2, 1, 7)
    assert swd(first, second, 3) == pytest.approx(plain_swd(first, second, 3), rel=1e-5)


def test_equal_sets_have_no_distance_and_seeds_are_repeatable():
    first, second = torch.rand(2, 30, 3, 7, 7)
    assert swd(first, first.flip(0)) == pytest.approx(0, abs=1e-3)
    assert swd(first, second, 1) == swd(first, second, 1), "bit for bit"
    assert swd(first, second, 1) != swd(first, second, 2)


def test_metric_is_the_mean_over_levels(samples):
    metric = SWD(patches=9, seed=5)
    metric.process(None, samples[:2])
    metric.process(None, samples[2:])
    found = metric.evaluate(5)
    assert set(found) == {"swd", "swd@32", "swd@16"}
    assert found["swd"] == pytest.approx((found["swd@32"] + found["swd@16"]) / 2)
    again = SWD(patches=9, seed=5)
    again.process(None, samples)
    assert again.evaluate(5) == found, "bit for bit, however it is batched"
    same = SWD(patches=9, seed=5)
    for sample in samples:
        sample.truth = sample.fake
    same.process(None, samples)
    assert same.evaluate(5)["swd"] == 0
    assert metric.passports()["swd"]["seed"] == 5
    assert metric.passports()["swd@16"]["patches"] == 9


def test_what_cannot_be_compared_is_explained(sample):
    with pytest.raises(ConfigError, match="SWD.patches is 0"):
        SWD(patches=0)
    with pytest.raises(DataError, match="at least 16"):
        laplacian_pyramid(torch.zeros(1, 3, 15, 40))
    with pytest.raises(DataError, match="SWD of 3 and 4 patches"):
        swd(torch.zeros(3, 3, 7, 7), torch.zeros(4, 3, 7, 7))
    metric = SWD()
    metric.process(None, [sample(0)])
    metric.process(None, [sample(1, size=(64, 80))])
    with pytest.raises(DataError, match="images of one size, but 2 are found"):
        metric.evaluate(2)
    bad = sample(0)
    bad.fake = torch.full_like(bad.fake, float("nan"))
    with pytest.raises(DataError, match="the output of 'sample 0' holds NaN"):
        SWD().process(None, [bad])
    bare = sample(0)
    bare.truth = None
    with pytest.raises(DataError, match="compares with the truth, but 'sample 0' has none"):
        SWD().process(None, [bare])
