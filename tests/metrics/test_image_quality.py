import sys

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.errors import ConfigError
from mcltoolkit.metrics import ImageQuality, l1, psnr, ssim
from mcltoolkit.structures import Prediction


def images(count, seed=0, size=(16, 20)):
    torch.manual_seed(seed)
    return [torch.rand(3, *size) * 2 - 1 for _ in range(count)]


def prediction(fake, warped, exemplar, truth=None, paired=True):
    return Prediction(
        name="case",
        fake=fake,
        warped=warped,
        exemplar=exemplar,
        condition=torch.zeros(1, 4, 4),
        match=None,
        index=0,
        truth=truth,
        paired=paired,
    )


def plain_psnr(a, b):
    mse = (((a + 1) / 2 - (b + 1) / 2) ** 2).double().mean()
    return float(-10 * mse.log10())


def gaussian_ssim(a, b):
    """SSIM by its definition at every pixel, 11 x 11 windows, the border mirrored."""
    height, width = a.shape[1:]
    a, b = (F.pad((x.double() + 1) / 2, (5, 5, 5, 5), mode="reflect") for x in (a, b))
    line = torch.exp(-((torch.arange(11).double() - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(line, line) / torch.outer(line, line).sum()
    values = []
    for channel in range(3):
        for i in range(height):
            for j in range(width):
                p = a[channel, i : i + 11, j : j + 11]
                q = b[channel, i : i + 11, j : j + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2
                cov = (window * p * q).sum() - mp * mq
                c1, c2 = 0.01**2, 0.03**2
                values.append(
                    (2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2))
                )
    return float(torch.stack(values).mean())


def test_functions_equal_their_definitions():
    a, b = images(2)
    assert psnr(a, b) == pytest.approx(plain_psnr(a, b), abs=1e-3)
    assert l1(a, b) == pytest.approx(float((a - b).abs().mean()) / 2, abs=1e-6)
    near = (0.7 * a + 0.3 * b).clamp(-1, 1)
    assert ssim(near, a) == pytest.approx(gaussian_ssim(near, a), abs=1e-4)


def test_identical_images_have_a_finite_ceiling():
    (a,) = images(1)
    assert psnr(a, a) == 100.0
    assert ssim(a, a) == pytest.approx(1.0)


def test_known_difference_has_known_psnr():
    grey = torch.zeros(3, 16, 16)  # 0.5 in [0, 1]
    assert psnr(grey + 0.2, grey) == pytest.approx(20.0, abs=1e-3)  # 0.1 off: 20 dB


def test_averages_over_paired_samples_only():
    fake1, warped1, exemplar1, truth1, fake2, warped2, exemplar2, truth2 = images(8)
    metric = ImageQuality()
    metric.process(
        None,
        [
            prediction(fake1, warped1, exemplar1, truth1),
            prediction(fake1, fake1, fake1, truth2, paired=False),
            prediction(fake1, fake1, fake1, None),
        ],
    )
    metric.process(None, [prediction(fake2, warped2, exemplar2, truth2)])
    found = metric.evaluate(4)
    assert set(found) == {"psnr", "ssim", "l1", "psnr_copy_exemplar", "psnr_warped"}
    expected = (plain_psnr(fake1, truth1) + plain_psnr(fake2, truth2)) / 2
    assert found["psnr"] == pytest.approx(expected, abs=1e-3)
    expected = (plain_psnr(exemplar1, truth1) + plain_psnr(exemplar2, truth2)) / 2
    assert found["psnr_copy_exemplar"] == pytest.approx(expected, abs=1e-3)
    expected = (plain_psnr(warped1, truth1) + plain_psnr(warped2, truth2)) / 2
    assert found["psnr_warped"] == pytest.approx(expected, abs=1e-3)


def test_samples_that_padding_repeats_do_not_count_twice():
    """mmengine cuts the collected entries to the data set's length, so each sample needs one."""
    fake1, fake2, truth = images(3)
    first = prediction(fake1, fake1, fake1, truth)
    unpaired = prediction(fake2, fake2, fake2, truth, paired=False)
    second = prediction(fake2, fake2, fake2, truth)
    metric = ImageQuality()
    metric.process(None, [first, unpaired, second, first])
    expected = (plain_psnr(fake1, truth) + plain_psnr(fake2, truth)) / 2
    assert metric.evaluate(3)["psnr"] == pytest.approx(expected, abs=1e-3)


def test_no_paired_sample_gives_no_numbers():
    (a,) = images(1)
    metric = ImageQuality()
    metric.process(None, [prediction(a, a, a, a, paired=False)])
    assert metric.evaluate(1) == {}


def test_exemplar_of_another_size_cannot_be_copied():
    fake, truth = images(2)
    (exemplar,) = images(1, size=(12, 12))
    metric = ImageQuality()
    metric.process(None, [prediction(fake, fake, exemplar, truth)])
    found = metric.evaluate(1)
    assert "psnr_copy_exemplar" not in found
    assert "psnr" in found


def test_missing_torchmetrics_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional", None)
    with pytest.raises(ConfigError, match=r"pip install 'mcltoolkit\[metrics\]'"):
        ImageQuality()
