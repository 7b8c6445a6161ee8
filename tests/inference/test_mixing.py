import numpy as np
import pytest
import torch

from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.inference import Exemplar, interpolate, load_model, translate
from mcltoolkit.inference.mixing import MixedMatch
from mcltoolkit.layers import unit_length


@pytest.fixture(scope="module")
def model(ade20k):
    return load_model(ade20k, "cpu")


@pytest.fixture
def case(files):
    """A condition with classes 0..6, and two exemplars with their labels."""
    rng = np.random.default_rng(1)

    def labels():
        return rng.integers(7, size=(8, 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)

    def photo():
        return rng.integers(256, size=(8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)

    return labels(), Exemplar(photo(), labels()), Exemplar(photo(), labels())


def same(first, second):
    return torch.equal(first.prediction.fake, second.prediction.fake) and torch.equal(
        first.prediction.warped, second.prediction.warped
    )


def test_the_warps_of_all_exemplars_are_blended(model, case):
    condition, first, second = case
    alone = [translate(condition, e, model).prediction.warped for e in (first, second)]
    blended = translate(condition, [first, second], model, weights=[0.3, 0.7])
    expected = 0.3 * alone[0] + 0.7 * alone[1]
    torch.testing.assert_close(blended.prediction.warped, expected)
    with torch.no_grad():
        painted = model.translator.generator(expected[None], blended.prediction.condition[None])
    torch.testing.assert_close(blended.prediction.fake, painted[0])
    scaled = translate(condition, [first, second], model, weights=[3, 7])
    torch.testing.assert_close(scaled.prediction.fake, blended.prediction.fake)


def test_a_blend_serves_many_conditions(model, case):
    condition, first, second = case
    results = translate([condition, 6 - condition], [first, second], model, weights=[1, 1])
    assert len(results) == 2
    assert same(results[0], translate(condition, [first, second], model, weights=[0.5, 0.5]))


def test_an_exemplar_without_weight_changes_no_bit(model, case):
    condition, first, second = case
    assert same(
        translate(condition, [first, second], model, weights=[0, 1]),
        translate(condition, second, model),
    )


def test_the_ends_of_an_interpolation_are_the_single_translations(model, case):
    condition, first, second = case
    results = interpolate(condition, first, second, model, steps=4)
    assert len(results) == 4
    assert same(results[0], translate(condition, first, model))
    assert same(results[3], translate(condition, second, model))
    warped = [result.prediction.warped for result in results]
    for k in range(4):
        expected = (1 - k / 3) * warped[0] + k / 3 * warped[3]
        torch.testing.assert_close(warped[k], expected, atol=1e-5, rtol=1e-5)
    for steps in (1, 2.5, True):
        with pytest.raises(ConfigError, match="steps is .*>= 2"):
            interpolate(condition, first, second, model, steps=steps)


def test_a_region_gets_the_warp_of_its_own_exemplar(model, case):
    condition, first, second = case
    alone = [translate(condition, e, model).prediction.warped for e in (first, second)]
    result = translate(condition, first, model, regions={2: second, "class 5": second})
    inside = torch.from_numpy((condition == 2) | (condition == 5))
    assert 0 < inside.sum() < inside.numel()
    warped = result.prediction.warped
    assert torch.equal(warped[:, inside], alone[1][:, inside])
    assert torch.equal(warped[:, ~inside], alone[0][:, ~inside])
    assert not torch.equal(alone[0][:, inside], alone[1][:, inside])


def test_regions_that_are_everywhere_or_nowhere_change_no_bit(model, case):
    condition, first, second = case
    flat = np.full_like(condition, 3)
    assert same(translate(flat, first, model, regions={3: second}), translate(flat, second, model))
    assert same(translate(flat, first, model, regions={1: second}), translate(flat, first, model))


def test_the_mixed_match_leads_to_all_exemplars_side_by_side(model, case):
    """Warping the picture that has them side by side by the mixed match gives the mixed warp."""
    condition, first, second = case
    found = translate(condition, first, model, regions={2: second, 4: second}).prediction
    assert found.exemplar.shape == (3, 64, 128)
    assert found.exemplar_labels.shape == (64, 128)
    match = found.match
    assert match.grid == (16, 16)
    assert match.exemplar_grid == (16, 32)
    pooled = torch.nn.functional.avg_pool2d(found.exemplar[None], 4).flatten(2)
    warped = match.warp(pooled).unflatten(2, match.grid)
    torch.testing.assert_close(
        warped[0].repeat_interleave(4, 1).repeat_interleave(4, 2), found.warped
    )


def make_match(seed):
    vectors = torch.randn(2, 2, 8, 12, generator=torch.Generator().manual_seed(seed))
    return CosineMatch(
        *unit_length(vectors.flatten(0, 1)).unflatten(0, (2, 2)), (3, 4), (4, 3), 0.2
    )


def test_a_mixed_match_is_a_match():
    """Against its own weights: rows sum to 1, warps are weighted sums, columns as formulas."""
    matches = [make_match(seed) for seed in (1, 2)]
    share = torch.rand(2, 1, 12, generator=torch.Generator().manual_seed(3))
    mixed = MixedMatch(matches, [share, 1 - share])
    weights = mixed.probabilities()
    assert weights.shape == (2, 12, 24)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 12))
    rows = torch.tensor([11, 0, 5])
    torch.testing.assert_close(mixed.probabilities(rows), weights[:, rows])
    values = torch.randn(2, 5, 24)
    torch.testing.assert_close(mixed.warp(values), torch.einsum("bnm,bcm->bcn", weights, values))
    one = torch.zeros(2, 1, 24)
    one[:, :, 2 * 6 + 3 + 1] = 1  # row 2 of the grid of 4 x (3 + 3): the second exemplar's (2, 1)
    own = torch.zeros(2, 1, 12)
    own[:, :, 2 * 3 + 1] = 1
    torch.testing.assert_close(mixed.warp(one), matches[1].warp(own) * (1 - share))
    torch.testing.assert_close(mixed.warp_back(torch.ones(2, 1, 12)), torch.ones(2, 1, 24))
    seen = torch.randn(2, 3, 12)
    columns = torch.stack([m.warp_back(torch.eye(12).expand(2, -1, -1)) for m in matches])
    columns = columns * torch.stack([share, 1 - share]).transpose(2, 3)
    columns = columns / columns.sum(2, keepdim=True)
    back = torch.einsum("kbnm,bcn->kbcm", columns, seen).unflatten(3, (4, 3))
    torch.testing.assert_close(mixed.warp_back(seen), torch.cat(list(back), 3).flatten(2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(weights=[1]), r"weights are \[1.0\], for 2 exemplars"),
        (dict(weights=[0, 0]), "not all of them 0"),
        (dict(weights=[-1, 2]), "numbers >= 0"),
        (dict(weights=[float("nan"), 2]), "numbers >= 0"),
        (dict(weights=[1e308, 1e308]), "with a finite sum"),
        (dict(weights=[10**400, 1]), "allowed is a list of numbers"),
        (dict(weights=["a", 1]), r"weights are \['a', 1\]; allowed is a list of numbers"),
        (dict(weights="12"), "weights are '12'; allowed is a list of numbers"),
        (dict(weights=[1, 1], regions={2.7: 0}), r"region 2\.7 is no class"),
        (dict(weights=[1, 1], regions={7: 0}), r"region 7 is no class.*allowed are 0\.\.6"),
        (dict(weights=[1, 1], regions={"clas 3": 0}), "did you mean 'class 3'"),
        (dict(weights=[1, 1], regions={3: 0, "class 3": 0}), r"class 3 \(class 3\) has two"),
    ],
)
def test_weights_and_regions_that_do_not_fit(model, case, options, words):
    condition, first, second = case
    with pytest.raises(ConfigError, match=words):
        translate(condition, [first, second], model, **options)


def test_conditions_given_as_maps_have_no_regions(model, case):
    _, first, second = case
    maps = np.zeros((model.channels, 64, 64), np.float32)
    with pytest.raises(DataError, match="given as maps, and exemplars are chosen for regions"):
        translate(maps, first, model, regions={2: second})


def test_maps_have_no_regions(checkpoint):
    model = load_model(checkpoint("deepfashion"), "cpu")
    maps, photo = np.zeros((4, 32, 32), np.float32), np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ConfigError, match="conditions are 4 maps without classes"):
        translate(maps, photo, model, regions={0: photo})
