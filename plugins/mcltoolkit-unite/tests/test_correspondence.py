import math

import pytest
import torch
from mcltoolkit_unite.correspondence import TransportCorrespondence

from mcltoolkit.correspondence import CosineCorrespondence
from mcltoolkit.errors import ConfigError
from mcltoolkit.structures import Batch

GRID, SIZE, CHANNELS, CLASSES = (4, 6), (8, 18), 5, 3
OUTPUTS = frozenset({"warped_labels", "cycle"})


def make_batch(size=SIZE, exemplar_size=SIZE):
    labels = [torch.randint(CLASSES, (2, *s)) for s in (size, exemplar_size)]
    return Batch(
        names=["a", "b"],
        exemplar=torch.rand(2, 3, *exemplar_size) * 2 - 1,
        paired=torch.zeros(2, dtype=torch.bool),
        labels=labels[0],
        exemplar_labels=labels[1],
    ).with_one_hot(CLASSES)


def descriptors(grid=GRID):
    x = torch.randn(2, CHANNELS, *grid)
    return x / x.norm(dim=1, keepdim=True)


def make(**settings):
    """A module with weights far from the small initial ones."""
    defaults = {"embed": 7, "blocks": 1, "epsilon": 0.1, "block": 10}
    module = TransportCorrespondence(CHANNELS, CLASSES, **(defaults | settings))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return module


def cosine_like(module, **settings):
    plain = CosineCorrespondence(CHANNELS, CLASSES, embed=7, blocks=1, **settings)
    plain.load_state_dict(module.state_dict(), strict=False)
    return plain


def test_uniform_weights_and_free_marginals_give_the_cosine_correspondence():
    torch.manual_seed(0)
    module = make(rho=0.0, weights="uniform", mask_mix=True)
    plain = cosine_like(module, mask_mix=True, temperature=0.1)
    assert module.state_dict().keys() == plain.state_dict().keys()
    batch, x, y = make_batch(), descriptors(), descriptors()
    found, expected = (m(x, y, batch, OUTPUTS) for m in (module, plain))
    torch.testing.assert_close(found.match.probabilities(), expected.match.probabilities())
    for name in ("warped", "warped_labels", "cycle", "cycle_target"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("weights", ["learned", "uniform"])
def test_the_plan_is_that_of_the_embedded_vectors_and_the_weights(weights):
    torch.manual_seed(1)
    module = make(rho=None, weights=weights, iterations=200)
    x, y = descriptors(), descriptors((3, 2))
    match = module(x, y, make_batch(exemplar_size=(12, 8))).match
    usual = cosine_like(module)(x, y, make_batch(exemplar_size=(12, 8))).match
    torch.testing.assert_close(match.queries, usual.queries)
    torch.testing.assert_close(match.keys, usual.keys)
    assert (match.grid, match.exemplar_grid) == (GRID, (3, 2))
    features = module.features(x, None), module.features(y, None)
    if weights == "uniform":
        expected = torch.full((2, 24), 1 / 24), torch.full((2, 6), 1 / 6)
    else:
        expected = [w.exp() for w in module.weights(*features)]
    found = match.marginals()
    torch.testing.assert_close(found[0], expected[0], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("warp", ["average", "patch"])
def test_shapes_and_gradients(warp):
    torch.manual_seed(2)
    module = make(mask_mix=True, warp=warp)
    x, y = descriptors().requires_grad_(), descriptors().requires_grad_()
    found = module(x, y, make_batch(), OUTPUTS)
    assert found.warped.shape == (2, 3, *SIZE)
    assert found.warped_labels.shape == (2, CLASSES, *GRID)
    torch.testing.assert_close(found.warped_labels.sum(1), torch.ones(2, *GRID))
    assert found.cycle.shape == found.cycle_target.shape
    (found.warped.square().sum() + found.cycle.square().sum()).backward()
    for name, values in [("x", x), ("y", y), *module.named_parameters()]:
        assert values.grad.isfinite().all(), name
    assert x.grad.abs().sum() > 0
    assert y.grad.abs().sum() > 0
    assert module.weights.phi.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("centre", ["channels", "positions"])
def test_zero_features_give_finite_gradients(centre):
    module = TransportCorrespondence(CHANNELS, CLASSES, embed=7, blocks=1, centre=centre)
    x, y = (torch.zeros(2, CHANNELS, *GRID, requires_grad=True) for _ in range(2))
    found = module(x, y, make_batch(), OUTPUTS)
    (found.warped.square().sum() + found.cycle.square().sum()).backward()
    assert found.warped.isfinite().all()
    for values in (x, y, *module.parameters()):
        assert values.grad.isfinite().all()


def test_block_size_changes_memory_only():
    torch.manual_seed(3)
    module = make(warp="patch")
    batch, x, y = make_batch(), descriptors(), descriptors()
    small = module(x, y, batch).warped
    module.block = 10**6
    torch.testing.assert_close(module(x, y, batch).warped, small)


def test_no_value_is_read_back_from_the_device():
    """The meta device has no values: whatever read one would fail."""
    with torch.device("meta"):
        module = TransportCorrespondence(CHANNELS, CLASSES, embed=7, blocks=1)
        batch = Batch(
            names=["a", "b"],
            exemplar=torch.rand(2, 3, *SIZE),
            paired=torch.zeros(2, dtype=torch.bool),
            condition=torch.rand(2, CLASSES, *SIZE),
            exemplar_condition=torch.rand(2, CLASSES, *SIZE),
        )
        x, y = (torch.rand(2, CHANNELS, *GRID) for _ in range(2))
        found = module(x, y, batch, OUTPUTS)
        (found.warped.sum() + found.cycle.sum()).backward()
    assert found.warped.shape == (2, 3, *SIZE)
    assert module.theta.weight.grad.shape == module.theta.weight.shape


@pytest.mark.parametrize(
    "setting",
    [
        {"epsilon": 0.0},
        {"rho": -0.1},
        {"iterations": 0},
        {"block": 0},
        {"weights": "given"},
        {"warp": "flow"},
        {"neighbourhood": 2},
        {"rho": math.nan},
    ],
)
def test_settings_outside_the_allowed_values_are_named(setting):
    (name, value), *_ = setting.items()
    message = rf"TransportCorrespondence.{name} is '?{value}'?; allowed"
    with pytest.raises(ConfigError, match=message):
        TransportCorrespondence(CHANNELS, CLASSES, **setting)
