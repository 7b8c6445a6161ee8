from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.visualization import images
from mcltoolkit.visualization.images import (
    GAP,
    colour_labels,
    condition_picture,
    grid_layout,
    image_grid,
    paint_condition,
    prediction_grid,
    save_png,
    to_uint8,
)

PALETTE = [(10, 20, 30), (200, 0, 0), (0, 0, 255)]


def test_to_uint8_is_exact_at_every_level_and_clips() -> None:
    levels = torch.arange(256).float()
    image = (levels / 127.5 - 1).reshape(1, 16, 16).expand(3, -1, -1)
    assert (to_uint8(image) == levels.reshape(16, 16, 1).numpy()).all()
    odd = torch.tensor([-9.0, 9.0, float("nan"), float("inf")]).reshape(1, 1, 4)
    assert to_uint8(odd)[0, :, 0].tolist() == [0, 255, 0, 255]
    colour = torch.tensor([-1.0, 1.0, 0.0]).reshape(3, 1, 1)
    assert to_uint8(colour.bfloat16().requires_grad_())[0, 0].tolist() == [0, 255, 128]
    with pytest.raises(DataError, match=r"\(2, 4, 4\)"):
        to_uint8(torch.zeros(2, 4, 4))


def test_label_colours_are_those_of_the_palette() -> None:
    labels = torch.tensor([[0, 1], [2, 1]])
    expected = [[PALETTE[0], PALETTE[1]], [PALETTE[2], PALETTE[1]]]
    assert (colour_labels(labels, PALETTE) == np.array(expected)).all()
    with pytest.raises(DataError, match=r"0\.\.3 found.*0\.\.2"):
        colour_labels(torch.tensor([[0, 3]]), PALETTE)


def test_condition_picture_of_labels_and_of_dense_maps(make_predictions) -> None:
    prediction = make_predictions(torch.arange(24)[None])[0]
    assert (
        condition_picture(prediction, PALETTE) == colour_labels(prediction.labels, PALETTE)
    ).all()
    edges = torch.zeros(15, 4, 4)
    edges[0, 1, 2] = 1.0
    edges[1, 3, 3] = 255.0
    edges[1, 0, 0] = 51.0
    dense = dataclasses.replace(prediction, labels=None, condition=edges)
    picture = condition_picture(dense)
    assert picture[1, 2].tolist() == [255, 0, 0]
    assert picture[3, 3].tolist() == [0, 255, 0]
    assert picture[0, 0].tolist() == [0, 51, 0]
    signed = torch.tensor([-1.0, 1.0, 0.0]).reshape(3, 1, 1)
    dense = dataclasses.replace(prediction, labels=None, condition=signed)
    assert condition_picture(dense)[0, 0].tolist() == [0, 255, 128]
    grey = condition_picture(
        dataclasses.replace(prediction, labels=None, condition=torch.ones(1, 2, 2))
    )
    assert (grey == 255).all()


def test_shown_channels_are_shown_as_they_are() -> None:
    dense = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0)) * 0.5
    levels = (dense * 255).round().permute(1, 2, 0).numpy()
    assert (paint_condition(None, dense, shown_channels=(3,)) == levels[..., [3, 3, 3]]).all()
    assert (paint_condition(None, dense, shown_channels=(0, 4, 2)) == levels[..., [0, 4, 2]]).all()
    with pytest.raises(DataError, match="nothing to paint"):
        paint_condition(None, None)


def test_classes_beside_the_label_are_painted_over_it() -> None:
    labels = torch.tensor([[0, 1, 1, 0]])
    dense = torch.nn.functional.one_hot(labels, 3).permute(2, 0, 1).float()
    alone = paint_condition(labels, dense, PALETTE)
    assert (alone == colour_labels(labels, PALETTE)).all()
    dense[2, 0, 1:3] = 1.0
    expected = [[PALETTE[0], PALETTE[2], PALETTE[2], PALETTE[0]]]
    assert (paint_condition(labels, dense, PALETTE) == np.array(expected)).all()
    assert (dense[:2].sum(0) == 1).all(), "the condition is left alone"


def test_grids_show_the_channels_that_are_asked_for(make_predictions) -> None:
    dense = torch.zeros(4, 16, 24)
    dense[2] = 1.0
    prediction = dataclasses.replace(
        make_predictions(torch.arange(24)[None])[0], labels=None, condition=dense
    )
    dark, light = (prediction_grid([prediction], shown_channels=(k,)) for k in (0, 2))
    top, left = grid_layout([[to_uint8(prediction.fake)]], ["x"], [prediction.name]).origin(0, 0)
    assert (dark[top + 1, left + 1] == 0).all()
    assert (light[top + 1, left + 1] == 255).all()


def test_grid_puts_every_pixel_in_its_place() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (3, 20, 30, 3)).astype(np.uint8)
    rows = [[pictures[0], None], [pictures[1], pictures[2]]]
    grid = image_grid(rows, side=64)
    # The longer side 30 comes nearest to 64 with the factor 2.
    assert grid.shape == (GAP + 2 * (40 + GAP), GAP + 2 * (60 + GAP), 3)
    expected = np.full_like(grid, 255)
    for picture, row, column in ((pictures[0], 0, 0), (pictures[1], 1, 0), (pictures[2], 1, 1)):
        top, left = GAP + row * (40 + GAP), GAP + column * (60 + GAP)
        expected[top : top + 40, left : left + 60] = np.kron(picture, np.ones((2, 2, 1)))
    assert (grid == expected).all()


def test_captions_stay_outside_the_pictures() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    columns, rows = ["first", "a caption much too long for its cell, really"], ["row " * 40]
    grid = image_grid([[picture, picture]], columns, rows)
    layout = grid_layout([[picture, picture]], columns, rows)
    assert (layout.cell_height, layout.cell_width) == (192, 192)
    for column in range(2):
        top, left = layout.origin(0, column)
        assert (grid[top : top + 192, left : left + 192] == 0).all()
        above = grid[: layout.top, left : left + 192]
        assert above.min() < 100
        assert (grid[: layout.top, left - GAP : left] == 255).all()
    assert grid[layout.top :, : layout.left].min() < 100
    assert layout.left < 200


def test_small_picture_fills_its_cell_beside_a_large_one() -> None:
    large = np.zeros((64, 64, 3), np.uint8)
    small = np.full((16, 16, 3), 100, np.uint8)
    grid = image_grid([[large, small]])
    assert (grid[GAP : GAP + 192, 2 * GAP + 192 : 2 * GAP + 384] == 100).all()


def test_grid_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="at least one picture"):
        prediction_grid([])


def test_prediction_grid_shows_all_five_in_order(make_predictions) -> None:
    predictions = make_predictions(torch.arange(24).repeat(2, 1))
    grid = prediction_grid(predictions, PALETTE)
    assert grid.dtype == np.uint8
    for row, prediction in enumerate(predictions):
        pictures = [colour_labels(prediction.labels, PALETTE)]
        for image in (prediction.exemplar, prediction.warped, prediction.fake, prediction.truth):
            pictures.append(to_uint8(image))
        names = [p.name for p in predictions]
        layout = grid_layout([pictures], ["x"], names)
        factor = layout.cell_width // 24
        for column, picture in enumerate(pictures):
            top, left = layout.origin(row, column)
            cell = grid[top : top + layout.cell_height, left : left + layout.cell_width]
            assert (cell[::factor, ::factor] == picture).all()
    without = [dataclasses.replace(p, truth=None) for p in predictions]
    assert grid.shape[1] - prediction_grid(without, PALETTE).shape[1] == layout.cell_width + GAP


def test_save_png_is_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    path = save_png(picture, tmp_path / "new" / "grid.png")
    save_png(picture[::-1], path)
    assert [p.name for p in path.parent.iterdir()] == ["grid.png"]
    assert (np.asarray(Image.open(path)) == picture[::-1]).all()


def test_save_png_keeps_the_old_file_when_it_cannot_write(tmp_path: Path, monkeypatch) -> None:
    path = save_png(np.zeros((2, 2, 3), np.uint8), tmp_path / "a.png")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ConfigError, match="No space left"):
        save_png(np.ones((2, 2, 3), np.uint8), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("paired", "said"),
    [([True, True], "truth"), ([False, False], "own image"), ([True, False], "truth / own image")],
)
def test_the_last_column_says_whether_it_is_the_right_answer(
    make_predictions, monkeypatch, paired, said
) -> None:
    predictions = make_predictions(torch.arange(24).repeat(2, 1))[:2]
    for prediction, is_paired in zip(predictions, paired, strict=True):
        prediction.paired = is_paired
    seen = []
    monkeypatch.setattr(images, "image_grid", lambda rows, captions, names: seen.extend(captions))
    prediction_grid(predictions, PALETTE)
    assert seen[-1] == said
