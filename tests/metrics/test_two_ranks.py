"""Two ranks measure what one measures, with an odd number of samples, which padding completes."""

import pytest
import torch.distributed as dist

from mcltoolkit.metrics.fid import FID
from mcltoolkit.registry import METRICS
from mcltoolkit.testing.ranks import ranks
from tests.metrics.conftest import measured


@METRICS.register_module()
class NarrowFID(FID):
    """FID of the first three features: the eigenvalues of all 2048 take half a minute."""

    def describe(self, samples, role):
        return [features[:3] for features in super().describe(samples, role)]


VGG = dict(weights="random", width_divisor=16)
NAMES = ["a", "b", "a", "c", "b"]
CASES = [
    ("ImageQuality", {}),
    ("LabelTransfer", dict(ignore_label=0)),
    ("PCK", {}),
    ("MatchEntropy", {}),
    ("CycleError", {}),
    ("SWD", dict(patches=5)),
    ("StyleRelevance", VGG),
    ("SemanticConsistency", VGG),
    ("LPIPS", dict(weights="random", net="squeeze")),
    ("LPIPSDiversity", dict(weights="random", net="squeeze")),
    ("KID", dict(weights="random", subsets=2, subset_size=3)),
    ("NarrowFID", dict(weights="random", allow_small=True)),
]


def all_of_this_rank():
    rank, count = dist.get_rank(), dist.get_world_size()
    return [measured(kind, options, 5, NAMES, rank, count) for kind, options in CASES]


@pytest.fixture(scope="module")
def both():
    return ranks().run(all_of_this_rank)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[kind for kind, _ in CASES])
def test_two_ranks_equal_one(both, index):
    kind, options = CASES[index]
    values, passports, per_sample = measured(kind, options, 5, NAMES)
    first, second = (answers[index] for answers in both)
    assert values
    assert first[0] == second[0] == pytest.approx(values, rel=1e-6)
    assert first[1] == passports
    assert all(passport["samples"] == 5 for passport in passports.values())
    assert set(first[2]) == set(per_sample)
    for name, found in per_sample.items():
        assert first[2][name] == pytest.approx(found, rel=1e-6)
    if kind == "ImageQuality":
        assert set(per_sample) == {"a", "b", "a#2", "c", "b#2"}
