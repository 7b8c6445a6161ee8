import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator

from mcltoolkit.data.warps import (
    SmoothWarp,
    draw_warp,
    known_positions,
    pixel_centres,
    warp_picture,
)


def a_warp(seed=0, strength=0.15):
    return draw_warp(np.random.default_rng(seed), strength)


def test_spline_agrees_with_scipy():
    rng = np.random.default_rng(3)
    controls, moves = rng.uniform(-1, 1, (7, 2)), rng.normal(size=(7, 2))
    points = rng.uniform(-2, 2, (50, 2))
    reference = RBFInterpolator(controls, controls + moves, kernel="thin_plate_spline", degree=1)
    np.testing.assert_allclose(SmoothWarp(controls, moves)(points), reference(points), atol=1e-10)


def test_steepness_is_the_largest_slope_of_the_displacement():
    warp, points, step = a_warp(1), pixel_centres((5, 7)), 1e-6
    slopes = []
    for x, y in points:
        columns = [
            (warp.displacement(np.array([[x, y]]) + d) - warp.displacement(np.array([[x, y]]) - d))
            / (2 * step)
            for d in (np.array([step, 0]), np.array([0, step]))
        ]
        slopes.append(np.linalg.svd(np.concatenate(columns).T)[1][0])
    assert warp.steepness(points) == pytest.approx(max(slopes), rel=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.05, 0.15, 0.3])
def test_inverse_undoes_the_warp_everywhere(strength):
    points = pixel_centres((24, 32))
    for seed in range(15):
        warp = a_warp(seed, strength)
        np.testing.assert_allclose(warp(warp.inverse(points)), points, atol=1e-5)
        np.testing.assert_allclose(warp.inverse(warp(points)), points, atol=1e-5)


def test_a_drawn_warp_never_folds():
    points = pixel_centres((24, 24))
    for seed in range(30):
        assert a_warp(seed, 0.3).steepness(points) < 0.9


def test_a_warp_that_folds_has_no_inverse():
    controls = np.array([[-1.0, 0], [0, 0], [1, 0], [0, 1], [0, -1]])
    moves = np.array([[3.0, 0], [0, 0], [-3, 0], [0, 0], [0, 0]])
    with pytest.raises(ArithmeticError, match="folds"):
        SmoothWarp(controls, moves).inverse(pixel_centres((8, 8)))


def test_pixel_centres_are_between_the_edges():
    assert pixel_centres((2, 4)).tolist() == [
        [x, y] for y in (-0.5, 0.5) for x in (-0.75, -0.25, 0.25, 0.75)
    ]


def shift(right, down):
    """A warp that moves everything by so much."""
    controls = np.array([[-1.0, -1], [1, -1], [0, 1]])
    return SmoothWarp(controls, np.tile([right, down], (3, 1)).astype(float))


def test_a_shift_by_whole_pixels_moves_image_and_labels_and_mirrors_at_the_edge():
    image, labels = torch.rand(3, 4, 5), torch.arange(20).reshape(4, 5)
    moved, moved_labels = warp_picture(image, labels, shift(2 * 2 / 5, 1 * 2 / 4))
    torch.testing.assert_close(moved[:, 1:, 2:], image[:, :-1, :-2])
    torch.testing.assert_close(moved[:, 0, 2:], image[:, 0, :-2])
    torch.testing.assert_close(moved[:, 1:, :2], image[:, :-1, [1, 0]])
    assert moved_labels[1:, 2:].tolist() == labels[:-1, :-2].tolist()
    assert moved_labels[0, :2].tolist() == labels[0, [1, 0]].tolist()
    assert moved_labels.dtype == torch.int64


def test_positions_of_a_shift_and_of_pixels_that_leave():
    found = known_positions(shift(2 * 2 / 5, 0), (2, 5))
    x = torch.tensor([-0.8, -0.4, 0.0, 0.4, 0.8]) + 0.8
    assert found[0, :, :3].tolist() == [pytest.approx(x[:3].tolist(), abs=1e-6)] * 2
    assert found[:, :, 3:].isnan().all()
    assert found[1, :, :3].tolist() == [pytest.approx([y] * 3) for y in (-0.5, 0.5)]


def test_strength_bounds_the_shift():
    """The lattice's points move by at most twice the strength, sides being 2 long."""
    corners = np.array([[-1.0, -1], [1, 1], [0, 0]])
    moved = np.array([a_warp(seed, 0.1).displacement(corners) for seed in range(200)])
    assert 0.3 < np.abs(moved).max() <= 2 * 2 * 0.1 + 1e-9
