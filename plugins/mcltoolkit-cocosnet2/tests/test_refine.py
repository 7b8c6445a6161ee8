import pytest
import torch
from mcltoolkit_cocosnet2.gru import ConvGRU, OffsetRefiner
from mcltoolkit_cocosnet2.refine import LevelSearch, corners
from mcltoolkit_cocosnet2.search import flat_index, own_places

from mcltoolkit.layers import unit_length


def planted(grid, flow):
    """Features of which each condition position has exactly one equal in the exemplar."""
    keys = unit_length(torch.randn(1, 16, *grid))
    where = own_places(grid, grid) + flow
    index = flat_index(where[None, None], grid)[0, 0]
    queries = keys.flatten(2)[:, :, index].unflatten(2, grid)
    return queries, keys, index


def search(iterations, refiner=None, **settings):
    settings = {"propagation": (1,), "search": 0, "radius": 1, "temperature": 0.01, **settings}
    return LevelSearch(2, iterations, refiner=refiner, **settings).eval()


def share_found(match, index):
    best = match.probabilities().argmax(2)[0]
    return (best == index).float().mean().item()


@pytest.mark.parametrize(("grid", "seed"), [((9, 9), (4, 4)), ((6, 11), (3, 5))])
def test_one_right_seed_spreads_over_a_region_of_constant_flow(grid, seed):
    torch.manual_seed(0)
    flow = torch.tensor([2.0, -1.0])
    queries, keys, index = planted(grid, flow[:, None, None])
    start = torch.zeros(1, 1, 2, *grid)
    start[0, 0, :, seed[0], seed[1]] = torch.tensor(seed) + flow
    target = own_places(grid, grid) + flow[:, None, None]
    exists = ((target[0] < grid[0]) & (target[1] >= 0)).flatten()
    reached = []
    for iterations in (1, 2, 6):
        match, _ = search(iterations)(queries, keys, start)
        right = match.probabilities().argmax(2)[0] == index
        reached.append(right[exists].float().mean().item())
    assert reached[0] < reached[1] < 1  # a position an iteration, along each axis
    assert reached[2] == 1


def test_distant_neighbours_spread_it_faster():
    torch.manual_seed(0)
    grid = (16, 16)
    queries, keys, index = planted(grid, torch.zeros(2, 1, 1))
    wrong = torch.full((1, 1, 2, *grid), 15.0)
    wrong[0, 0, :, 0, 0] = 0
    near = share_found(search(4)(queries, keys, wrong)[0], index)
    far = share_found(search(4, propagation=(1, 4))(queries, keys, wrong)[0], index)
    assert near < 0.2
    assert far == 1


def test_search_follows_a_smooth_warp_from_the_coarser_levels_error():
    torch.manual_seed(0)
    grid = (16, 16)
    y, x = own_places(grid, grid)
    flow = torch.stack([2 * (x / 8).sin(), 2 * (y / 8).cos()]).round()
    queries, keys, index = planted(grid, flow)
    start = own_places(grid, grid)[None, None]  # up to two cells off, 2.8 along the diagonal
    without = share_found(search(6)(queries, keys, start)[0], index)
    found = share_found(search(6, search=8, radius=2)(queries, keys, start)[0], index)
    assert found > 0.95 > without


def test_weights_are_the_softmax_of_the_candidates_cosines():
    torch.manual_seed(0)
    queries, keys = unit_length(torch.randn(2, 5, 3, 4)), unit_length(torch.randn(2, 5, 4, 6))
    start = torch.stack([torch.randint(4, (2, 6, 3, 4)), torch.randint(6, (2, 6, 3, 4))], 2).float()
    match, places = search(2, temperature=0.2)(queries, keys, start)
    index = flat_index(places, (4, 6))
    assert torch.equal(match.index, index)
    for b in range(2):
        for n in range(12):
            cosines = keys.flatten(2)[b][:, index[b, :, n]].T @ queries.flatten(2)[b, :, n]
            torch.testing.assert_close(match.weights[b, :, n], (cosines / 0.2).softmax(0))


def test_corners_read_a_map_bilinearly():
    torch.manual_seed(0)
    values = torch.randn(1, 3, 4, 6)
    places = torch.stack([torch.rand(1, 2, 5, 7) * 3, torch.rand(1, 2, 5, 7) * 5], dim=2)
    places[0, 0, :, 0, 0] = torch.tensor([3.0, 5.0])
    index, share = corners(places, (4, 6))
    torch.testing.assert_close(share.sum(2), torch.ones(1, 2, 35))
    gathered = values.flatten(2)[0][:, index[0]].unflatten(1, (2, 4))
    found = (gathered * share[0]).sum(2)
    size = torch.tensor([4.0, 6.0])[:, None, None]
    normal = ((2 * places + 1) / size - 1).flip(2)
    for k in range(2):
        expected = torch.nn.functional.grid_sample(
            values, normal[:, k].movedim(1, -1), align_corners=False, padding_mode="border"
        )
        torch.testing.assert_close(found[:, k].unflatten(1, (5, 7)), expected[0], atol=1e-5, rtol=0)


def test_a_grid_of_one_row_has_corners_too():
    places = torch.tensor([0.0, 1.5])[None, None, :, None, None]
    index, share = corners(places, (1, 3))
    total = torch.zeros(3).index_add_(0, index.flatten(), share.flatten())
    torch.testing.assert_close(total, torch.tensor([0, 0.5, 0.5]))


def test_gru_equals_its_equations():
    torch.manual_seed(0)
    gru = ConvGRU(3, 2, (1, 1))
    state, x = torch.randn(1, 3, 1, 1), torch.randn(1, 2, 1, 1)
    found = gru(state, x).flatten()
    h, v = state.flatten(), x.flatten()
    gates = (gru.gates.weight.flatten(1) @ torch.cat([h, v]) + gru.gates.bias).sigmoid()
    z, r = gates[:3], gates[3:]
    q = (gru.proposal.weight.flatten(1) @ torch.cat([r * h, v]) + gru.proposal.bias).tanh()
    torch.testing.assert_close(found, (1 - z) * h + z * q)


def test_moves_start_small_and_stay_within_reach():
    torch.manual_seed(0)
    refiner = OffsetRefiner(embed=4, candidates=3, hidden=4, reach=1.5)
    state = refiner.start(torch.randn(2, 4, 5, 6), torch.randn(2, 4, 5, 6))
    scores = torch.rand(2, 2, 5, 6)
    scores[:, 1] = -torch.inf
    flow = torch.randn(2, 2, 2, 5, 6)
    after, moves = refiner(state, scores, flow, (5, 6))
    assert after.shape == state.shape
    assert moves.shape == (2, 2, 2, 5, 6)
    assert 0 < moves.abs().max() < 0.1
    with torch.no_grad():
        refiner.move[-1].weight.fill_(100.0)
    assert refiner(state, scores, flow, (5, 6))[1].abs().max() <= 1.5


def test_the_warp_trains_the_refinement_of_every_iteration():
    """The colours of the exemplar at the refined places move them: towards the truth."""
    torch.manual_seed(0)
    grid = (8, 8)
    queries, keys, _ = planted(grid, torch.zeros(2, 1, 1))
    refiner = OffsetRefiner(embed=16, candidates=2, hidden=8, reach=1.0)
    level = search(2, refiner, temperature=0.1)
    ramp = own_places(grid, grid)[None]  # colours that tell the place
    truth = (ramp + torch.tensor([0.3, -0.2])[:, None, None]).flatten(2)  # a third of a cell on
    inner = (slice(None), slice(None), slice(18, 46))
    start = own_places(grid, grid)[None, None]
    optimizer = torch.optim.Adam(refiner.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        match, _ = level(queries, keys, start)
        loss = (match.warp(ramp.flatten(2)) - truth)[inner].abs().mean()
        optimizer.zero_grad()
        loss.backward()
        if not losses:
            for name, parameter in refiner.named_parameters():
                assert parameter.grad.any(), name
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_recomputed_layers_give_the_same_gradients():
    grid, found = (6, 6), []
    for recompute in (False, True):
        torch.manual_seed(0)
        refiner = OffsetRefiner(embed=16, candidates=2, hidden=4)
        queries, keys, _ = planted(grid, torch.zeros(2, 1, 1))
        start = torch.rand(1, 2, 2, *grid) * 5
        match, _ = search(2, refiner, recompute=recompute)(queries, keys, start)
        match.warp(torch.randn(1, 3, 36)).square().sum().backward()
        found.append({name: p.grad for name, p in refiner.named_parameters()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient)
