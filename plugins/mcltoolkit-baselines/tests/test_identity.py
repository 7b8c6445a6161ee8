from fractions import Fraction
from math import floor

import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_baselines.identity import IdentityCorrespondence, IdentityMatch, resize, same_places

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics import cycle_error, label_accuracy, match_entropy, transfer_counts

WANTED = frozenset({"warped_labels", "cycle"})


def align(batch, outputs=WANTED, **settings):
    return IdentityCorrespondence(**settings)(None, None, batch, outputs)


@pytest.mark.parametrize("grid", [(1, 1), (3, 5), (8, 8)])
def test_equal_grids_are_the_identity(grid):
    count = grid[0] * grid[1]
    match, values = IdentityMatch(grid, grid, batch=2), torch.randn(2, 4, count)
    assert torch.equal(match.warp(values), values)
    assert torch.equal(match.warp_back(values), values)
    assert torch.equal(match.probabilities(), torch.eye(count).expand(2, -1, -1))


@pytest.mark.parametrize("grid", [(4, 6), (3, 5), (1, 2)])
@pytest.mark.parametrize("other", [(8, 12), (7, 4), (2, 3)])
def test_other_grids_look_at_the_cell_that_holds_the_centre(grid, other):
    match, values = IdentityMatch(grid, other, batch=2), torch.randn(2, 3, *other)
    found = match.warp(values.flatten(2)).unflatten(2, grid)
    torch.testing.assert_close(found, F.interpolate(values, size=grid, mode="nearest-exact"))
    ours = torch.randn(2, 3, *grid)
    back = match.warp_back(ours.flatten(2)).unflatten(2, other)
    torch.testing.assert_close(back, F.interpolate(ours, size=other, mode="nearest-exact"))


def test_probabilities_are_the_weights_of_the_warp():
    match, values = IdentityMatch((4, 3), (2, 5), batch=2), torch.randn(2, 3, 10)
    weights = match.probabilities()
    assert weights.shape == (2, 12, 10)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 12))
    torch.testing.assert_close(values @ weights.transpose(1, 2), match.warp(values))
    rows = torch.tensor([7, 0, 11])
    assert torch.equal(match.probabilities(rows), weights[:, rows])


def test_places_are_exact_where_floats_would_round():
    for count in range(1, 40):
        for others in range(1, 40):
            exact = [floor(Fraction(2 * k + 1, 2 * count) * others) for k in range(count)]
            assert same_places((1, count), (1, others)).tolist() == exact


def test_metrics_of_a_match_take_it():
    match = IdentityMatch((4, 6), (4, 6), batch=2)
    assert cycle_error(match).tolist() == [0, 0]
    entropy, coverage = match_entropy(match)
    assert entropy.tolist() == [0, 0]
    assert coverage.tolist() == [1, 1]


def test_the_exemplar_is_handed_on_as_it_is(make_batch):
    batch = make_batch()
    alignment = align(batch, outputs=frozenset())
    assert alignment.warped is batch.exemplar
    assert (alignment.warped_labels, alignment.cycle) == (None, None)
    assert alignment.match.grid == alignment.match.exemplar_grid == (8, 12)


def test_another_size_is_resized(make_batch):
    batch = make_batch(size=(32, 48), exemplar_size=(64, 64))
    alignment = align(batch)
    assert alignment.warped.shape == batch.truth.shape
    assert alignment.match.exemplar_grid == (16, 16)
    flat = torch.full((1, 3, 64, 64), 0.25)
    torch.testing.assert_close(resize(flat, (32, 48)), torch.full((1, 3, 32, 48), 0.25))
    halved = resize(batch.exemplar, (32, 32))  # antialiased: every pixel counts
    for pixel in ((10, 10), (11, 11)):
        moved = batch.exemplar.clone()
        moved[:, :, pixel[0], pixel[1]] += 1
        assert not torch.equal(resize(moved, (32, 32)), halved)


def test_label_transfer_is_how_often_layouts_agree_by_chance(make_batch):
    batch = make_batch(count=1, size=(64, 96))
    alignment = align(batch, stride=1)
    counts = transfer_counts(alignment.warped_labels[0], batch.labels[0])
    agree = (batch.labels == batch.exemplar_labels).float().mean().item()
    assert label_accuracy(counts) == pytest.approx(agree, abs=1e-6)
    assert agree == pytest.approx(1 / 5, abs=0.03)


def test_cycle_is_the_exemplar_itself(make_batch):
    alignment = align(make_batch())
    assert alignment.cycle.shape == (2, 3, 8, 12)
    torch.testing.assert_close(alignment.cycle, alignment.cycle_target)


def test_nothing_is_learned():
    correspondence = IdentityCorrespondence(in_channels=7, condition_channels=5)
    assert not list(correspondence.parameters())
    assert correspondence.needs_features is False


def test_errors(make_batch):
    with pytest.raises(ConfigError, match="stride is 0; allowed is 1 or more"):
        IdentityCorrespondence(stride=0)
    with pytest.raises(ConfigError, match="IdentityCorrespondence cannot take a 32x48 image"):
        align(make_batch(), stride=5)
    batch = make_batch()
    batch.exemplar_condition = None
    assert align(batch, frozenset({"cycle"})).warped_labels is None
    with pytest.raises(DataError, match=r"exemplars of .* have no labels"):
        align(batch)
    batch.condition = None
    with pytest.raises(DataError, match="no dense condition"):
        align(batch)
