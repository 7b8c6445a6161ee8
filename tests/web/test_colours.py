import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data.palette import class_palette
from mcltoolkit.errors import DataError
from mcltoolkit.web.colours import snap_colours

FACTOR = 4


def shapes(classes, side=64, seed=0):
    """Labels of ellipses at FACTOR times the size, every class there."""
    rng = np.random.default_rng(seed)
    large = side * FACTOR
    y, x = np.mgrid[:large, :large]
    labels = np.zeros((large, large), np.int64)
    for label in [*range(classes), *range(classes)]:
        cy, cx = rng.integers(large, size=2)
        ry, rx = rng.integers(large // 10, large // 4, size=2)
        labels[((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = label
    return labels


def softened(labels, palette):
    """Painted, and shrunk so that borders mix; with the classes of the FACTOR² parts of a pixel."""
    painted = Image.fromarray(np.array(palette, np.uint8)[labels])
    side = labels.shape[0] // FACTOR
    small = np.array(painted.resize((side, side), Image.Resampling.BOX))
    return small, labels.reshape(side, FACTOR, side, FACTOR).transpose(0, 2, 1, 3).reshape(
        side, side, -1
    )


@pytest.mark.parametrize("classes", [2, 3, 6, 12, 19, 35, 151, 300])
def test_every_class_is_found_and_soft_borders_get_one_of_their_sides(classes):
    palette, names = class_palette(classes), [f"class {k}" for k in range(classes)]
    exact = np.arange(classes).repeat(9).reshape(-1, 9)
    np.testing.assert_array_equal(
        snap_colours(np.array(palette, np.uint8)[exact], palette, names), exact
    )
    picture, parts = softened(shapes(min(classes, 20)), palette)
    labels = snap_colours(picture, palette, names)
    inside = (parts == parts[..., :1]).all(-1)
    assert 0.2 < inside.mean() < 0.99
    np.testing.assert_array_equal(labels[inside], parts[inside][:, 0])
    own = (parts == labels[..., None]).any(-1)
    assert own.mean() > 0.995, "a mixed pixel has a class of its own or of its neighbours"


def test_a_mixture_is_no_third_class():
    """Half black, half white is exactly the grey of a class that is nowhere near."""
    palette = [(0, 0, 0), (255, 255, 255), (120, 120, 120)]
    picture = np.zeros((8, 9, 3), np.uint8)
    picture[:, 5:] = 255
    picture[:, 4] = 140
    labels = snap_colours(picture, palette, ["black", "white", "grey"])
    assert set(labels.ravel()) == {0, 1}
    np.testing.assert_array_equal(labels[:, :4], 0)
    np.testing.assert_array_equal(labels[:, 5:], 1)


def test_lossy_colours_are_forgiven(tmp_path):
    palette, names = class_palette(6), list("abcdef")
    cells = np.random.default_rng(0).integers(6, size=(8, 8)).repeat(16, 0).repeat(16, 1)
    Image.fromarray(np.array(palette, np.uint8)[cells]).save(tmp_path / "l.jpg", quality=95)
    labels = snap_colours(np.array(Image.open(tmp_path / "l.jpg").convert("RGB")), palette, names)
    assert (labels == cells).mean() > 0.97


def test_a_colour_of_nobody_is_explained():
    palette, names = class_palette(6), [f"part {k}" for k in range(6)]
    picture = np.full((10, 20, 3), palette[2], np.uint8)
    picture[2:9, 4:14] = (255, 255, 255)
    with pytest.raises(DataError, match="near no class's colour") as caught:
        snap_colours(picture, palette, names, "label map mine.png")
    text = str(caught.value)
    assert "label map mine.png" in text
    assert "[255, 255, 255]" in text
    assert "x 6, y 4" in text, "the first one whose neighbours do not tell"
    assert "class numbers 0..5" in text
    nearest = np.linalg.norm(np.array(palette) - 255, axis=1).argmin()
    assert f"'part {nearest}'" in text
    assert f"{3 * 6 / 200:.1%}" in text


def test_a_photo_is_no_label_map():
    photo = np.random.default_rng(0).integers(256, size=(400, 400, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="looks like a photo"):
        snap_colours(photo, class_palette(6), list("abcdef"))
