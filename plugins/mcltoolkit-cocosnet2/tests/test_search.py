import pytest
import torch
from mcltoolkit_cocosnet2.search import (
    around,
    best_of,
    children,
    flat_index,
    inside,
    own_places,
    propagate,
    top_partners,
)

from mcltoolkit.correspondence import CosineMatch
from mcltoolkit.layers import unit_length


def rows(features):
    return features.flatten(2).transpose(1, 2)


def test_own_places_are_the_same_point_of_the_image_in_the_other_grid():
    own = own_places((4, 6), (4, 6))
    assert own[:, 2, 5].tolist() == [2, 5]
    other = own_places((4, 6), (8, 3))
    for r in range(4):
        for c in range(6):
            assert (other[0, r, c] + 0.5) / 8 == pytest.approx((r + 0.5) / 4)
            assert (other[1, r, c] + 0.5) / 3 == pytest.approx((c + 0.5) / 6)


def test_top_partners_are_the_heaviest_of_the_dense_rows():
    torch.manual_seed(0)
    queries, keys = unit_length(torch.randn(2, 5, 12)), unit_length(torch.randn(2, 5, 10))
    match = CosineMatch(queries, keys, (3, 4), (2, 5))
    places = top_partners(match, 3)
    assert places.shape == (2, 3, 2, 3, 4)
    scores = torch.einsum("bcn,bcm->bnm", queries, keys)
    for b in range(2):
        for n in range(12):
            expected = sorted(range(10), key=lambda m: -scores[b, n, m])[:3]
            found = places[b, :, :, n // 4, n % 4]
            assert [int(r) * 5 + int(c) for r, c in found.tolist()] == expected
    assert top_partners(match, 99).shape[1] == 10


def test_children_are_the_four_cells_of_the_parents_place():
    places = torch.tensor([[1.0, 2.0]])[:, :, None, None].expand(1, 2, 2, 3)[None]
    found = children(places, (6, 8))
    assert found.shape == (1, 4, 2, 4, 6)
    assert {tuple(p) for p in found[0, :, :, 3, 5].tolist()} == {(2, 4), (2, 5), (3, 4), (3, 5)}
    # every exemplar cell is a child of exactly one of all coarse places
    everywhere = torch.cartesian_prod(torch.arange(3.0), torch.arange(4.0))
    index = flat_index(children(everywhere[None, :, :, None, None], (6, 8)), (6, 8))
    assert sorted(index[0, :, 0].tolist()) == list(range(48))


def test_children_of_a_place_between_cells_are_the_nearest_ones():
    # 1.3 coarse cells lie at 3.1 fine ones
    place = torch.tensor([1.3, 0.0])[None, None, :, None, None]
    found = children(place, (6, 8))
    assert {r for r, _ in found[0, :, :, 0, 0].tolist()} == {3, 4}
    last = torch.tensor([2.4, 3.4])[None, None, :, None, None]
    assert inside(children(last, (6, 8)), (6, 8)).equal(children(last, (6, 8)))


def test_propagation_moves_a_neighbours_place_along_with_the_position():
    own = own_places((3, 4), (3, 4))
    places = torch.rand(1, 2, 2, 3, 4) * 3
    found = propagate(places, own, -1, [1, 2])
    assert found.shape == (1, 8, 2, 3, 4)
    torch.testing.assert_close(found[0, 0, :, 1, 2], places[0, 0, :, 1, 1] + torch.tensor([0, 1]))
    torch.testing.assert_close(found[0, 3, :, 1, 2], places[0, 1, :, 1, 3] - torch.tensor([0, 1]))
    torch.testing.assert_close(found[0, 4, :, 1, 2], places[0, 0, :, 1, 0] + torch.tensor([0, 2]))
    above = propagate(places, own, -2, [1])
    torch.testing.assert_close(above[0, 0, :, 2, 3], places[0, 0, :, 1, 3] + torch.tensor([1, 0]))


def test_search_is_drawn_in_training_and_fixed_in_evaluation():
    best = torch.full((1, 1, 2, 5, 5), 10.0)
    torch.manual_seed(0)
    first = around(best, 200, 3, 0, random=True)
    torch.manual_seed(0)
    assert torch.equal(first, around(best, 200, 3, 0, random=True))
    assert not torch.equal(first, around(best, 200, 3, 0, random=True))
    assert set(first.unique().tolist()) == {7, 8, 9, 10, 11, 12, 13}
    fixed = around(best, 4, 3, 0, random=False)
    assert torch.equal(fixed, around(best, 4, 3, 0, random=False))
    seen = {tuple(p) for p in fixed[0, :, :, 0, 0].tolist()}
    assert seen == {(7, 10), (10, 13), (13, 10), (10, 7)}
    turned = around(best, 4, 3, 1, random=False)
    assert {tuple(p) for p in turned[0, :, :, 0, 0].tolist()} == {
        (7, 13), (13, 13), (13, 7), (7, 7),
    }  # fmt: skip


def test_top_scores_equal_brute_force_when_everything_is_a_candidate():
    torch.manual_seed(0)
    queries, keys = unit_length(torch.randn(2, 6, 3, 4)), unit_length(torch.randn(2, 6, 2, 5))
    everything = torch.cartesian_prod(torch.arange(2.0), torch.arange(5.0))
    pool = everything[None, :, :, None, None].expand(2, -1, -1, 3, 4)
    places, scores = best_of(rows(queries), rows(keys), pool, (2, 5), 4)
    cosines = torch.einsum("bcn,bcm->bmn", queries.flatten(2), keys.flatten(2))
    expected, best = cosines.topk(4, dim=1)
    torch.testing.assert_close(scores.flatten(2), expected)
    assert torch.equal(flat_index(places, (2, 5)), best)


def test_copies_of_a_candidate_count_once_and_fill_up_last():
    queries, keys = unit_length(torch.randn(1, 4, 1, 1)), unit_length(torch.randn(1, 4, 2, 2))
    pool = torch.tensor([[0.0, 0], [0.2, 0.1], [0, 0], [1, 1]])[None, :, :, None, None]
    places, scores = best_of(rows(queries), rows(keys), pool, (2, 2), 3)
    finite = scores.flatten().isfinite()
    assert finite.tolist() == [True, True, False]
    assert sorted(flat_index(places, (2, 2)).flatten().tolist()[:2]) == [0, 3]


def test_known_scores_are_used_and_change_nothing():
    torch.manual_seed(0)
    queries, keys = unit_length(torch.randn(1, 4, 3, 3)), unit_length(torch.randn(1, 4, 3, 3))
    pool = torch.randint(3, (1, 6, 2, 3, 3)).float()
    first, known = best_of(rows(queries), rows(keys), pool[:, :3], (3, 3), 3)
    mixed = torch.cat([first, pool[:, 3:]], dim=1)
    plain = best_of(rows(queries), rows(keys), mixed, (3, 3), 2)
    reused = best_of(rows(queries), rows(keys), mixed, (3, 3), 2, known)
    torch.testing.assert_close(reused[1], plain[1])
    assert torch.equal(reused[0], plain[0])


def test_chosen_places_keep_their_graph():
    queries, keys = unit_length(torch.randn(1, 4, 2, 2)), unit_length(torch.randn(1, 4, 3, 3))
    pool = (torch.rand(1, 5, 2, 2, 2) * 2).requires_grad_()
    places, scores = best_of(rows(queries), rows(keys), pool, (3, 3), 2)
    assert not scores.requires_grad
    (gradient,) = torch.autograd.grad(places.sum(), pool)
    assert gradient.sum() == 2 * 2 * 4
