from __future__ import annotations

import numpy as np
import pytest

from mcltoolkit.errors import ConfigError
from mcltoolkit.visualization.colours import as_palette, oklab_to_rgb, plane_colours


@pytest.mark.parametrize(
    ("lab", "rgb"),
    [
        # Oklab coordinates of sRGB's corners, from the definition's own page.
        ((0.62796, 0.22486, 0.12585), (255, 0, 0)),
        ((0.86644, -0.23389, 0.17950), (0, 255, 0)),
        ((0.45201, -0.03246, -0.31153), (0, 0, 255)),
        ((1.0, 0.0, 0.0), (255, 255, 255)),
        ((0.0, 0.0, 0.0), (0, 0, 0)),
    ],
)
def test_oklab_corners(lab: tuple[float, ...], rgb: tuple[int, ...]) -> None:
    assert np.abs(oklab_to_rgb(lab).astype(int) - rgb).max() <= 1


def test_plane_is_smooth_grey_in_the_centre_and_tells_places_apart() -> None:
    axis = np.linspace(-1, 1, 33)
    plane = plane_colours(np.stack(np.meshgrid(axis, axis), -1)).astype(int)
    centre = plane[16, 16]
    assert np.ptp(centre) <= 1
    assert np.abs(np.diff(plane, axis=0)).max() < 16
    assert np.abs(np.diff(plane, axis=1)).max() < 16
    corners = plane[[0, 0, -1, -1], [0, -1, 0, -1]]
    for i in range(4):
        for j in range(i):
            assert np.linalg.norm(corners[i] - corners[j]) > 80
        assert np.linalg.norm(corners[i] - centre) > 50


@pytest.mark.parametrize(
    "palette", [[], [[1, 2]], [[0, 0, 256]], [[0, -1, 0]], [[0.5, 0, 0]], [1, 2, 3]]
)
def test_bad_palette(palette: list[object]) -> None:
    with pytest.raises(ConfigError, match="palette"):
        as_palette(palette)  # type: ignore[arg-type]
