from __future__ import annotations

import numpy as np
import pytest
import torch

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.structures import Sample
from mcltoolkit.visualization import sample_sheet
from mcltoolkit.visualization.images import colour_labels, grid_layout, to_uint8
from mcltoolkit.visualization.sheets import RIM, framed, shrink

ROWS = ["truth", "exemplar", "condition", "condition of exemplar"]


class Dense:
    """Two channels; the second one is the sample's number."""

    metainfo = {"channels": ["first", "second"], "shown_channels": (1,), "condition_channels": 2}

    def __len__(self):
        return 3

    def __getitem__(self, index):
        image = torch.full((3, 20, 30), -1.0)
        condition = torch.stack([torch.zeros(20, 30), torch.full((20, 30), 0.2 * (index + 1))])
        return Sample(f"s{index}", image, condition=condition, truth=image)


def inner(sheet, rows, columns, names, side, row, column):
    """The cell's pixels without the rim."""
    picture = np.zeros((20, 30, 3), np.uint8)
    layout = grid_layout([[picture] * columns] * len(rows), names, rows, side)
    top, left = layout.origin(row, column)
    factor = layout.cell_height // 20
    cell = sheet[top : top + layout.cell_height, left : left + layout.cell_width]
    return cell[factor:-factor, factor:-factor]


def test_every_channel_has_a_row_and_every_sample_a_column():
    sheet = sample_sheet(Dense(), count=9, side=60)
    rows, names = [*ROWS, "first", "second"], ["s0", "s1", "s2"]
    for column in range(3):
        for row, level in enumerate([0, 0, 51 * (column + 1), None, 0, 51 * (column + 1)]):
            if level is not None:
                assert (inner(sheet, rows, 3, names, 60, row, column) == level).all()
    assert (inner(sheet, rows, 3, names, 60, 3, 0) == 255).all(), "the exemplar has no condition"
    short = sample_sheet(Dense(), items=[2], side=60, channels=False)
    assert (inner(short, ROWS, 1, ["s2"], 60, 2, 0) == 153).all()


def test_labels_are_painted_and_pictures_are_whole():
    dataset = SyntheticScenes(num_classes=4, size=(64, 64), length=2)
    sheet = sample_sheet(dataset, 1, side=64)
    sample = dataset[0]
    pictures = [
        to_uint8(sample.truth),
        to_uint8(sample.exemplar),
        colour_labels(sample.labels, dataset.palette),
        colour_labels(sample.exemplar_labels, dataset.palette),
    ]
    layout = grid_layout([[p] for p in pictures], [sample.name], ROWS, 64)
    for row, picture in enumerate(pictures):
        top, left = layout.origin(row, 0)
        assert (sheet[top : top + 64, left : left + 64] == framed(picture)).all()


def test_large_pictures_shrink_to_the_mean_of_areas():
    picture = np.random.default_rng(0).integers(256, size=(40, 20, 3), dtype=np.uint8)
    means = picture.reshape(10, 4, 5, 4, 3).mean((1, 3))
    small = shrink(picture, 10)
    assert small.shape == (10, 5, 3)
    # PIL averages rows and columns in turn, and rounds each time.
    np.testing.assert_allclose(small, means, atol=1.0)
    assert shrink(picture, 40) is picture


def test_a_rim_shows_white_on_white():
    white = np.full((4, 5, 3), 255, np.uint8)
    done = framed(white)
    assert (done[1:-1, 1:-1] == 255).all()
    assert (done == RIM).all(-1).sum() == 2 * (4 + 5) - 4
    assert (white == 255).all()


def test_an_empty_page_is_refused():
    from mcltoolkit.errors import DataError

    with pytest.raises(DataError, match="at least one picture"):
        sample_sheet(Dense(), count=0)
