from __future__ import annotations

import pytest
import torch

from mcltoolkit.correspondence import CosineCorrespondence, CosineMatch
from mcltoolkit.correspondence.neighbourhoods import NeighbourhoodMatch, unfold_neighbourhoods


@pytest.mark.parametrize("memory", ["dense", "blocks", "auto"])
def test_equals_the_match_of_unfolded_vectors(memory):
    maps = torch.randn(2, 5, 6, 7) + 2, torch.randn(2, 5, 4, 8) + 2
    values = torch.rand(2, 4, 32)
    found = []
    for dtype in (torch.float32, torch.float64):
        here, there = (x.to(dtype).requires_grad_() for x in maps)
        if dtype is torch.float32:
            match = NeighbourhoodMatch(here, there, 3, 0.1, memory)
        else:
            vectors = (unfold_neighbourhoods(x, 3) for x in (here, there))
            match = CosineMatch(*vectors, (6, 7), (4, 8), 0.1, "dense")
        with torch.no_grad():
            match.warp(values)
        warped, back = match.warp_cycle(values.to(dtype), 2)
        total = warped.square().sum() + back.square().sum()
        total = total + match.warp_back(match.warp(values.to(dtype))).square().sum()
        grads = torch.autograd.grad(total, (here, there))
        found.append([warped, back, match.probabilities(), match.heaviest()[0].to(dtype), *grads])
        assert (match.grid, match.exemplar_grid) == ((6, 7), (4, 8))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


def test_blocks_are_never_unfolded():
    here, there = torch.randn(2, 1, 5, 6, 6).unbind(0)
    match = NeighbourhoodMatch(here, there, 3, 0.1, "blocks")
    match.warp(torch.rand(1, 3, 36))
    match.warp_back(torch.rand(1, 3, 36))
    assert not match._unfolded


def test_which_matches_need_not_be_unfolded():
    class Own(CosineCorrespondence):
        def embed(self, features, head):
            return super().embed(features, head)

    features = torch.randn(1, 4, 3, 3)
    for module, expected in (
        (CosineCorrespondence(4, 3, embed=5), NeighbourhoodMatch),
        (CosineCorrespondence(4, 3, embed=5, neighbourhood=1), CosineMatch),
        (CosineCorrespondence(4, 3, embed=5, centre="positions"), CosineMatch),
        (Own(4, 3, embed=5), CosineMatch),
    ):
        match = module.make_match(features, features)
        assert type(match) is expected
        assert match.memory == "auto"
        torch.testing.assert_close(match.queries, module.embed(features, module.theta))
