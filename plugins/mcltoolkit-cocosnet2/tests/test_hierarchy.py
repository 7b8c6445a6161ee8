import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_cocosnet2.hierarchy import HierarchicalCorrespondence

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.inference.model import reads_exemplar_condition
from mcltoolkit.structures import Batch

CLASSES, CHANNELS = 3, 6


def make_batch(size, b=2, exemplar_size=None, labels=True):
    exemplar_size = exemplar_size or size

    def one_hot(shape):
        labels = torch.randint(CLASSES, (b, *shape))
        return F.one_hot(labels, CLASSES).movedim(-1, 1).float()

    return Batch(
        names=[f"case{i}" for i in range(b)],
        exemplar=torch.rand(b, 3, *exemplar_size) * 2 - 1,
        paired=torch.ones(b, dtype=torch.bool),
        condition=one_hot(size),
        exemplar_condition=one_hot(exemplar_size) if labels else None,
    )


def descriptors(grid, b=2):
    return F.normalize(torch.randn(b, CHANNELS, *grid), dim=1)


def make(**settings):
    torch.manual_seed(0)
    small = dict(
        levels=2, candidates=3, iterations=2, radius=2, width=6, embed=4, hidden=4,
        temperature=0.1, coarse=dict(embed=4, blocks=1),
    )  # fmt: skip
    return HierarchicalCorrespondence(CHANNELS, CLASSES, **{**small, **settings})


def test_levels_double_the_grid_and_the_finest_warps_whole_pixels():
    module, batch = make().eval(), make_batch((16, 24))
    found = module(descriptors((4, 6)), descriptors((4, 6)), batch)
    assert found.match.grid == found.match.exemplar_grid == (16, 24)
    sizes = [tuple(level.shape[-2:]) for level in found.extras["warped_levels"]]
    assert sizes == [(4, 6), (8, 12), (16, 24)]
    pixels = batch.exemplar.flatten(2)
    expected = pixels @ found.match.probabilities().mT
    torch.testing.assert_close(found.warped.flatten(2), expected)


def test_guidance_is_every_level_at_full_size_coarsest_first():
    module, batch = make().eval(), make_batch((16, 24))
    found = module(descriptors((4, 6)), descriptors((4, 6)), batch)
    assert module.guidance_channels == found.guidance.shape[1] == 9
    for level, image in enumerate(found.guidance.split(3, dim=1)):
        factor = 4 >> level
        small = found.extras["warped_levels"][level]
        repeated = small.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        torch.testing.assert_close(image, repeated)
    torch.testing.assert_close(found.guidance[:, 6:], found.warped)


def test_labels_come_from_the_level_asked_for_and_the_cycle_from_the_coarse_one():
    batch = make_batch((16, 24))
    for level, grid in ((0, (4, 6)), (1, (8, 12)), (None, (16, 24))):
        module = make(labels_level=level).eval()
        found = module(
            descriptors((4, 6)), descriptors((4, 6)), batch, frozenset({"warped_labels", "cycle"})
        )
        assert found.warped_labels.shape == (2, CLASSES, *grid)
        torch.testing.assert_close(found.warped_labels.sum(1), torch.ones(2, *grid))
        assert found.cycle.shape == found.cycle_target.shape == (2, 3, 4, 6)
        torch.testing.assert_close(found.cycle_target, F.avg_pool2d(batch.exemplar, 4))
    assert module(descriptors((4, 6)), descriptors((4, 6)), batch).warped_labels is None


def test_labels_of_all_levels_up_to_the_one_asked_for():
    batch, wanted = make_batch((16, 24)), frozenset({"warped_label_levels"})
    module = make(labels_level=1).eval()
    found = module(descriptors((4, 6)), descriptors((4, 6)), batch, wanted)
    levels = found.extras["warped_label_levels"]
    assert [tuple(level.shape[-2:]) for level in levels] == [(4, 6), (8, 12)]
    assert found.warped_labels is levels[-1]


def test_exemplars_of_another_size():
    module, batch = make().eval(), make_batch((16, 16), exemplar_size=(24, 8))
    found = module(descriptors((4, 4)), descriptors((6, 2)), batch, frozenset({"warped_labels"}))
    assert found.match.exemplar_grid == (24, 8)
    assert found.warped.shape == (2, 3, 16, 16)


def test_a_finest_grid_below_the_image_is_upsampled():
    module, batch = make(levels=1).eval(), make_batch((16, 16))
    found = module(descriptors((4, 4)), descriptors((4, 4)), batch)
    assert found.match.grid == (8, 8)
    assert found.warped.shape == (2, 3, 16, 16)
    pooled = F.avg_pool2d(batch.exemplar, 2).flatten(2)
    expected = (pooled @ found.match.probabilities().mT).unflatten(2, (8, 8))
    torch.testing.assert_close(found.warped[:, :, ::2, ::2], expected)


def test_everything_is_found_when_candidates_cover_everything():
    """With as many candidates as positions the finest match is the dense softmax of its features'
    cosines: by brute force."""
    module = make(levels=1, candidates=64, refine=False, search=0, iterations=1).eval()
    batch = make_batch((8, 8))
    here, there = descriptors((4, 4)), descriptors((4, 4))
    found = module(here, there, batch)
    queries = module.features(here, batch.condition, "condition")[0].flatten(2)
    keys = module.features(there, batch.exemplar, "exemplar")[0].flatten(2)
    dense = (torch.einsum("bcn,bcm->bnm", queries, keys) / 0.1).softmax(2)
    torch.testing.assert_close(found.match.probabilities(), dense, atol=1e-5, rtol=1e-4)


def test_every_level_trains_everything():
    module, batch = make().train(), make_batch((16, 16))
    here, there = (descriptors((4, 4)).requires_grad_() for _ in range(2))
    found = module(here, there, batch)
    for level, image in enumerate(found.extras["warped_levels"]):
        module.zero_grad()
        here.grad = there.grad = None
        image.square().mean().backward(retain_graph=True)
        assert here.grad.any(), level
        assert there.grad.any(), level
        finer = [n for n, p in module.named_parameters() if p.grad is not None and p.grad.any()]
        parts = {name.split(".")[0] for name in finer}
        assert parts == ({"coarse"} if level == 0 else {"features", "search"})


def test_training_draws_and_evaluation_does_not():
    module, batch = make().train(), make_batch((16, 16))
    here, there = descriptors((4, 4)), descriptors((4, 4))

    def warped(seed):
        torch.manual_seed(seed)
        return module(here, there, batch).warped

    assert torch.equal(warped(1), warped(1))
    assert not torch.equal(warped(1), warped(2))
    module.eval()
    assert torch.equal(warped(1), warped(2))


def test_the_whole_runs_on_the_meta_device():
    with torch.device("meta"):
        module, batch = make(), make_batch((16, 16))
        found = module(torch.rand(2, CHANNELS, 4, 4), torch.rand(2, CHANNELS, 4, 4), batch)
    assert found.guidance.shape == (2, 9, 16, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"levels": 0}, "levels is 0"),
        ({"candidates": 0}, "candidates is 0"),
        ({"propagation": []}, r"propagation is \[\].*\[1, 4\]"),
        ({"temperature": 0}, "temperature is 0"),
        ({"labels_level": 3}, "labels_level is 3.*2"),
        ({"coarse": {"blcks": 3}}, "model.correspondence.coarse"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        make(**settings)


def test_a_finest_grid_above_the_image_is_refused():
    batch = make_batch((16, 16))
    with pytest.raises(ConfigError, match=r"levels is 3.*levels up to 2.*StridedEncoder"):
        make(levels=3)(descriptors((4, 4)), descriptors((4, 4)), batch)


def test_missing_labels_are_told():
    module, batch = make(), make_batch((16, 16), labels=False)
    wanted = frozenset({"warped_labels"})
    with pytest.raises(DataError, match="case0.*warped_labels"):
        module(descriptors((4, 4)), descriptors((4, 4)), batch, wanted)
    with pytest.raises(DataError, match="mask_mix"):
        make(mask_mix=True)(descriptors((4, 4)), descriptors((4, 4)), batch)
    module(descriptors((4, 4)), descriptors((4, 4)), batch)


@pytest.mark.parametrize(("fine", "coarse"), [(False, False), (True, False), (False, True)])
def test_inference_asks_for_the_exemplar_s_condition_where_a_level_reads_it(fine, coarse):
    module = make(mask_mix=fine, coarse=dict(embed=4, blocks=1, mask_mix=coarse))
    assert reads_exemplar_condition(module) == (fine or coarse)
