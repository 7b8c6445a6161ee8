import pytest
import torch

from mcltoolkit.losses.positions import draw_positions


def marked(batch, height, width):
    """Maps whose two channels tell the position and the image."""
    positions = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    images = torch.arange(batch, dtype=torch.float32).view(batch, 1, 1, 1)
    return torch.cat(
        [positions.expand(batch, -1, -1, -1), images.expand(-1, 1, height, width)], dim=1
    )


@pytest.mark.parametrize("shared", [True, False])
def test_positions_are_distinct_and_the_same_in_both_maps(shared):
    torch.manual_seed(0)
    maps = marked(3, 4, 7)
    first, second = draw_positions(maps, maps + 100, 10, shared)
    assert torch.equal(first + 100, second)
    assert first.shape == (3, 10, 2)
    assert (first[:, :, 1] == torch.arange(3).view(3, 1)).all()
    drawn = first[:, :, 0]
    assert all(len(row.unique()) == 10 for row in drawn)
    assert bool((drawn == drawn[0]).all()) is shared
    again, _ = draw_positions(maps, maps, 10, shared)
    assert not torch.equal(again, first)


@pytest.mark.parametrize("positions", [None, 28, 64])
def test_all_positions_in_order_where_the_map_has_no_more(positions):
    first, _ = draw_positions(marked(2, 4, 7), marked(2, 4, 7), positions)
    assert first[1, :, 0].tolist() == list(range(28))


def test_every_position_is_as_likely():
    torch.manual_seed(1)
    maps = marked(1, 3, 3)
    counts = torch.zeros(9)
    for _ in range(900):
        counts[draw_positions(maps, maps, 3)[0][0, :, 0].long()] += 1
    assert (counts - 300).abs().max() < 6 * (900 * (1 / 3) * (2 / 3)) ** 0.5


def test_half_precision_becomes_float32():
    first, second = draw_positions(marked(1, 2, 2).half(), marked(1, 2, 2).double(), 2)
    assert (first.dtype, second.dtype) == (torch.float32, torch.float64)
