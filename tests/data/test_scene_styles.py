from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mcltoolkit.data.scene_layouts import draw_layout
from mcltoolkit.data.scene_styles import PATTERNS, Style, draw_style, render


def plain_style(num_classes: int, period: float | None = None) -> Style:
    """Black ground, white marks, upright."""
    periods = np.array([p for _, p in PATTERNS.values()][:num_classes])
    return Style(
        background=np.zeros((num_classes, 3)),
        foreground=np.ones((num_classes, 3)),
        period=periods if period is None else np.full(num_classes, period),
        angle=np.zeros(num_classes),
        phase=np.zeros((num_classes, 2)),
    )


def flat(label: int, size: int = 64) -> np.ndarray:
    return np.full((size, size), label, dtype=np.uint8)


@pytest.mark.parametrize("label", range(1, 12))
def test_patterns_show_both_colours_at_a_legible_scale(label):
    image = render(flat(label), plain_style(12))[0]
    assert image.min() == -1
    assert image.max() > 0.7
    assert 0.15 < (image > 0).mean() < 0.85
    # Some 64 pixels hold many changes, and yet the marks are wider than a pixel.
    changes = np.abs(np.diff(image > 0, axis=1)).mean()
    assert 0.02 < changes < 0.6


def test_the_first_class_is_a_smooth_gradient():
    image = render(flat(0), plain_style(12))[0]
    assert np.abs(np.diff(image, axis=1)).max() < 0.2
    assert image.max() - image.min() > 1.8


def test_stripes_repeat_with_the_period_asked_for():
    row = render(flat(1), plain_style(2, period=8.0))[0, 10]
    np.testing.assert_allclose(row[:-8], row[8:], atol=1e-5)
    assert row[:8].std() > 0.5
    column = render(flat(1), plain_style(2, period=8.0))[0, :, 10]
    np.testing.assert_allclose(column, column[0])


def test_checks_alternate_in_both_directions():
    image = render(flat(2), plain_style(3, period=8.0))[0]
    np.testing.assert_allclose(image[:, 4:], -image[:, :-4], atol=1e-5)
    np.testing.assert_allclose(image[4:], -image[:-4], atol=1e-5)


def test_patterns_differ_whatever_the_style():
    """Grey-level statistics that ignore colour, place and direction tell the classes apart.

    Each class's mean spectrum over rings of frequency, over many styles, is nearest to the mean of
    its own class more often than chance by far.
    """
    rng, num_classes, styles = np.random.default_rng(0), 6, 40
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32)))
    rings = np.digitize(radius, np.linspace(0, 0.5, 12))

    def describe(image: np.ndarray) -> np.ndarray:
        grey = image.mean(axis=0)
        grey = (grey - grey.mean()) / (grey.std() + 1e-6)
        power = np.abs(np.fft.fft2(grey)) ** 2
        spectrum = np.bincount(rings.ravel(), power.ravel(), minlength=13)
        peak = np.sort(power.ravel())[-2:].sum() / power.sum()
        return np.concatenate([np.sqrt(spectrum / power.sum()), [peak, (grey**4).mean() / 5]])

    table = np.stack(
        [
            [describe(render(flat(k, 64), style)[:, 16:48, 16:48]) for k in range(num_classes)]
            for style in (draw_style(rng, num_classes) for _ in range(2 * styles))
        ]
    )
    means = table[:styles].mean(axis=0)
    distance = np.linalg.norm(table[styles:, :, None] - means, axis=-1)
    accuracy = (distance.argmin(axis=-1) == np.arange(num_classes)).mean()
    assert accuracy > 0.6


@pytest.mark.parametrize(("num_classes", "apart"), [(6, 0.15), (12, 0.07)])
def test_classes_of_one_style_differ_in_colour(num_classes, apart):
    rng = np.random.default_rng(0)
    for _ in range(40):
        style = draw_style(rng, num_classes)
        means = [(render(flat(k, 48), style).mean(axis=(1, 2)) + 1) / 2 for k in range(num_classes)]
        assert min(np.linalg.norm(a - b) for a, b in combinations(means, 2)) > apart


def test_colour_tells_no_class():
    rng = np.random.default_rng(0)
    styles = [draw_style(rng, 6) for _ in range(1500)]
    means = np.stack([s.background for s in styles]).mean(axis=0)
    # Standard error is about 0.007; colours themselves vary by 0.25.
    assert np.abs(means - means.mean(axis=0)).max() < 0.04


def test_colours_stay_in_range_and_contrast_scales_the_marks():
    rng = np.random.default_rng(0)
    for _ in range(50):
        style = draw_style(rng, 12, contrast=1.5)
        image = render(draw_layout(rng, (32, 32), 12), style)
        assert np.abs(image).max() <= 1
    one, two = (draw_style(np.random.default_rng(1), 6, contrast=c) for c in (0.0, 1.0))
    assert np.abs(one.foreground - one.background).max() == 0
    assert np.abs(two.foreground - two.background).mean() > 0.1


def test_jitter_zero_fixes_all_but_colour():
    one, two = (draw_style(np.random.default_rng(s), 6, jitter=0) for s in (1, 2))
    np.testing.assert_array_equal(one.period, two.period)
    np.testing.assert_array_equal(one.angle, two.angle)
    np.testing.assert_array_equal(one.phase, two.phase)
    assert (one.background != two.background).any()


def test_texture_hangs_on_the_picture_not_on_the_layout():
    rng = np.random.default_rng(0)
    style = draw_style(rng, 6)
    layouts = np.stack([draw_layout(rng, (40, 56), 6) for _ in range(2)])
    images = render(layouts, style)
    assert images.shape == (2, 3, 40, 56)
    assert images.dtype == np.float32
    whole = np.stack([render(np.full((40, 56), k, np.uint8), style) for k in range(6)])
    for layout, image in zip(layouts, images, strict=True):
        expected = np.take_along_axis(whole, layout[None, None].astype(int), axis=0)[0]
        np.testing.assert_allclose(image, expected, atol=2e-5)
