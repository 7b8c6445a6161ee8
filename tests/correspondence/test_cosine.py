import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.correspondence import CosineCorrespondence, coordinate_map
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.structures import Batch

GRID, SIZE, CLASSES, CHANNELS = (4, 6), (8, 18), 3, 5  # cells of 2 x 3 pixels


def make_batch(size=SIZE, exemplar_size=None, labels=True, b=2):
    exemplar_size = exemplar_size or size

    def one_hot(shape):
        return F.one_hot(torch.randint(CLASSES, (b, *shape)), CLASSES).permute(0, 3, 1, 2).float()

    return Batch(
        names=[f"case{i}" for i in range(b)],
        exemplar=torch.rand(b, 3, *exemplar_size) * 2 - 1,
        paired=torch.zeros(b, dtype=torch.bool),
        condition=one_hot(size),
        exemplar_condition=one_hot(exemplar_size) if labels else None,
    )


def descriptors(grid=GRID, b=2):
    x = torch.randn(b, CHANNELS, *grid)
    return x / x.norm(dim=1, keepdim=True)


def trained(**settings):
    """A module with weights far from the small initial ones."""
    module = CosineCorrespondence(CHANNELS, CLASSES, embed=7, blocks=2, **settings)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return module


def reference_vectors(module, maps, condition, head):
    """The vectors that are compared, (B, D, N), from the weights by the spec's formula."""
    b, _, h, w = maps.shape
    x = maps
    if module.coordinates:
        place = torch.empty(3, h, w)
        for i in range(h):
            for j in range(w):
                place[0, i, j] = -1 + 2 * j / (w - 1)
                place[1, i, j] = -1 + 2 * i / (h - 1)
        place[2] = (place[0] ** 2 + place[1] ** 2) ** 0.5
        x = torch.cat([x, place.expand(b, 3, h, w)], 1)
    if module.mask_mix:
        rows = torch.arange(h) * condition.shape[2] // h
        columns = torch.arange(w) * condition.shape[3] // w
        x = torch.cat([x, condition[:, :, rows][:, :, :, columns]], 1)
    if hasattr(module.project, "weight"):
        x = F.conv2d(x, module.project.weight, module.project.bias)
    for block in module.layer:

        def conv(value, layer):
            out = F.conv2d(F.pad(value, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias)
            mean = out.mean((2, 3), keepdim=True)
            return (out - mean) / (out.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()

        slope = block.prelu.weight
        inner = conv(x, block.conv1)
        inner = torch.where(inner > 0, inner, slope * inner)
        x = conv(inner, block.conv2) + x
        x = torch.where(x > 0, x, slope * x)
    x = F.conv2d(x, head.weight, head.bias)
    k = module.neighbourhood
    padded = F.pad(x, (k // 2,) * 4)
    shifted = [padded[:, :, i : i + h, j : j + w] for i in range(k) for j in range(k)]
    x = torch.cat(shifted, 1).flatten(2)
    x = x - x.mean(1 if module.centre == "channels" else 2, keepdim=True)
    return x / x.norm(dim=1, keepdim=True)


def cell_means(image, grid):
    f, g = image.shape[2] // grid[0], image.shape[3] // grid[1]
    return image.unflatten(2, (grid[0], f)).unflatten(4, (grid[1], g)).mean((3, 5))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mask_mix": True, "coordinates": True},
        {"hidden": 4, "centre": "positions", "neighbourhood": 1, "coordinates": True},
        {"mask_mix": True, "centre": "positions", "neighbourhood": 5},
    ],
)
def test_forward_equals_the_formula_recomputed_from_the_weights(settings):
    torch.manual_seed(1)
    module = trained(temperature=0.1, **settings)
    batch, x, y = make_batch(), descriptors(), descriptors()
    found = module(x, y, batch, frozenset({"warped_labels", "cycle"}))

    queries = reference_vectors(module, x, batch.condition, module.theta)
    keys = reference_vectors(module, y, batch.exemplar_condition, module.phi)
    logits = torch.einsum("bdn,bdm->bnm", queries, keys) / 0.1
    rows, columns = logits.softmax(2), logits.softmax(1)
    pooled = cell_means(batch.exemplar, GRID)
    warped = torch.einsum("bcm,bnm->bcn", pooled.flatten(2), rows)
    close = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(found.match.probabilities(), rows, **close)
    expected = warped.unflatten(2, GRID).repeat_interleave(2, 2).repeat_interleave(3, 3)
    torch.testing.assert_close(found.warped, expected, **close)

    labels = batch.exemplar_condition[:, :, ::2, ::3].flatten(2)
    expected = torch.einsum("bcm,bnm->bcn", labels, rows).unflatten(2, GRID)
    torch.testing.assert_close(found.warped_labels, expected, **close)
    back = torch.einsum("bcn,bnm->bcm", warped, columns).unflatten(2, GRID)
    torch.testing.assert_close(found.cycle, back, **close)
    torch.testing.assert_close(found.cycle_target, pooled)


def test_patch_warp_moves_whole_patches():
    torch.manual_seed(2)
    module = trained(temperature=0.1, warp="patch")
    batch = make_batch(labels=False)
    found = module(descriptors(), descriptors(), batch, frozenset({"cycle"}))
    rows = found.match.probabilities()
    # every pixel of a cell is the weighted sum of the pixels at its place in the exemplar's cells
    for i in range(2):
        for j in range(3):
            phase = batch.exemplar[:, :, i::2, j::3].flatten(2)
            expected = torch.einsum("bcm,bnm->bcn", phase, rows).unflatten(2, GRID)
            torch.testing.assert_close(found.warped[:, :, i::2, j::3], expected)
            back = found.match.warp_back(expected.flatten(2)).unflatten(2, GRID)
            torch.testing.assert_close(found.cycle[:, :, i::2, j::3], back)
    assert found.cycle_target is batch.exemplar
    assert found.warped_labels is None


def identity_module(**settings):
    """theta = phi = identity on the descriptors, so that the match compares them directly."""
    module = CosineCorrespondence(
        8, CLASSES, embed=8, blocks=0, neighbourhood=1, centre="positions", **settings
    )
    with torch.no_grad():
        for head in (module.theta, module.phi):
            head.weight.copy_(torch.eye(8)[:, :, None, None])
            head.bias.zero_()
    return module


@pytest.mark.parametrize("warp", ["average", "patch"])
def test_permuted_features_give_the_permutation_and_restore_the_image(warp):
    torch.manual_seed(3)
    n = GRID[0] * GRID[1]
    order = torch.randperm(n)
    features = F.normalize(torch.randn(1, 8, n), dim=1)
    # exemplar position j holds what belongs to condition position order[j]
    shuffled = features[:, :, order]
    # an image that is constant in each cell survives pooling
    image = torch.rand(1, 3, n) * 2 - 1

    def at_full_size(values):
        cells = values.unflatten(2, GRID)
        return cells.repeat_interleave(2, 2).repeat_interleave(3, 3)

    batch = make_batch(b=1)
    batch.exemplar = at_full_size(image[:, :, order])
    found = identity_module(warp=warp)(
        features.unflatten(2, GRID),
        shuffled.unflatten(2, GRID),
        batch,
        frozenset({"cycle"}),
    )
    matched = found.match.probabilities().argmax(2)[0]
    assert torch.equal(order[matched], torch.arange(n))
    torch.testing.assert_close(found.warped, at_full_size(image), rtol=0, atol=1e-2)
    torch.testing.assert_close(found.cycle, found.cycle_target, rtol=0, atol=1e-2)


@pytest.mark.parametrize("centre", ["channels", "positions"])
def test_zero_features_give_finite_gradients(centre):
    module = CosineCorrespondence(CHANNELS, CLASSES, embed=7, blocks=1, centre=centre)
    x = torch.zeros(1, CHANNELS, *GRID, requires_grad=True)
    y = torch.zeros(1, CHANNELS, *GRID, requires_grad=True)
    found = module(x, y, make_batch(b=1), frozenset({"warped_labels", "cycle"}))
    total = found.warped.square().sum() + found.cycle.square().sum() + found.warped_labels.sum()
    total.backward()
    assert found.warped.isfinite().all()
    for values in (x, y, *module.parameters()):
        assert values.grad.isfinite().all()


def test_gradient_reaches_both_sides_and_every_weight():
    torch.manual_seed(4)
    module = trained(mask_mix=True, temperature=0.1)
    x, y = descriptors().requires_grad_(), descriptors().requires_grad_()
    module(x, y, make_batch()).warped.square().sum().backward()
    without_effect = set()
    for name, values in [("x", x), ("y", y), *module.named_parameters()]:
        if values.grad.abs().max() < 1e-7:
            without_effect.add(name)
    # a bias before an instance norm is subtracted again; the released network has them as well
    assert all(".conv" in name and name.endswith(".bias") for name in without_effect)


def test_a_subclass_matches_the_features_in_its_own_way():
    class Mean:
        """Every position takes the exemplar's mean."""

        def __init__(self, queries, keys, grid, exemplar_grid):
            self.queries, self.keys = queries, keys
            self.grid, self.exemplar_grid = grid, exemplar_grid

        def warp(self, values):
            return values.mean(2, keepdim=True).expand(-1, -1, self.grid[0] * self.grid[1])

        def warp_back(self, values):
            count = self.exemplar_grid[0] * self.exemplar_grid[1]
            return values.mean(2, keepdim=True).expand(-1, -1, count)

        def probabilities(self, rows=None):
            raise NotImplementedError

    class MeanCorrespondence(CosineCorrespondence):
        def make_match(self, condition_features, exemplar_features):
            return Mean(
                self.embed(condition_features, self.theta),
                self.embed(exemplar_features, self.phi),
                condition_features.shape[2:],
                exemplar_features.shape[2:],
            )

    torch.manual_seed(8)
    module = MeanCorrespondence(CHANNELS, CLASSES, embed=7, mask_mix=True)
    batch, x, y = make_batch(), descriptors(), descriptors((4, 3))
    found = module(x, y, batch, frozenset({"cycle"}))
    plain = CosineCorrespondence(CHANNELS, CLASSES, embed=7, mask_mix=True)
    plain.load_state_dict(module.state_dict())
    usual = plain(x, y, batch).match
    torch.testing.assert_close(found.match.queries, usual.queries)
    torch.testing.assert_close(found.match.keys, usual.keys)
    assert (found.match.grid, found.match.exemplar_grid) == (GRID, (4, 3))
    expected = batch.exemplar.mean((2, 3), keepdim=True)
    torch.testing.assert_close(found.warped, expected.expand_as(found.warped))
    with pytest.raises(ConfigError, match="MeanCorrespondence.warp is 'flow'"):
        MeanCorrespondence(CHANNELS, CLASSES, warp="flow")


def test_grids_of_both_sides_may_differ():
    torch.manual_seed(5)
    module = trained(mask_mix=True)
    batch = make_batch(size=(8, 18), exemplar_size=(12, 8))
    outputs = frozenset({"warped_labels", "cycle"})
    found = module(descriptors((4, 6)), descriptors((3, 2)), batch, outputs)
    assert found.warped.shape == (2, 3, 8, 18)
    assert found.warped_labels.shape == (2, CLASSES, 4, 6)
    assert found.cycle.shape == found.cycle_target.shape == (2, 3, 3, 2)
    torch.testing.assert_close(found.warped_labels.sum(1), torch.ones(2, 4, 6))


def test_bilinear_upsampling_differs_from_nearest_only_between_cell_centres():
    torch.manual_seed(6)
    module = trained(upsample="nearest")
    batch, x, y = make_batch(size=(12, 18)), descriptors(), descriptors()
    nearest = module(x, y, batch).warped
    module.upsample_mode = "bilinear"
    smooth = module(x, y, batch).warped
    # cells of 3 x 3 pixels: the middle pixel lies on the cell's centre
    torch.testing.assert_close(smooth[:, :, 1::3, 1::3], nearest[:, :, 1::3, 1::3])
    assert (smooth - nearest).abs().max() > 1e-3


def test_autocast_gives_float32_and_nearly_the_same_match():
    torch.manual_seed(7)
    module = trained(temperature=0.1)
    batch, x, y = make_batch(), descriptors(), descriptors()
    plain = module(x, y, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = module(x, y, batch)
    assert mixed.warped.dtype == torch.float32
    torch.testing.assert_close(mixed.warped, plain.warped, rtol=0, atol=0.1)


def test_parameter_shapes_are_those_of_the_released_ade20k_network():
    with torch.device("meta"):
        shapes = {
            name: tuple(values.shape)
            for name, values in CosineCorrespondence(256, 151, mask_mix=True).state_dict().items()
        }
    expected = {"theta.weight": (256, 407, 1, 1), "phi.weight": (256, 407, 1, 1)}
    expected |= {"theta.bias": (256,), "phi.bias": (256,)}
    for i in range(4):
        for conv in ("conv1", "conv2"):
            expected[f"layer.{i}.{conv}.weight"] = (407, 407, 3, 3)
            expected[f"layer.{i}.{conv}.bias"] = (407,)
        expected[f"layer.{i}.prelu.weight"] = (1,)
    assert shapes == expected


def test_coordinates_are_symmetric_and_end_at_the_borders():
    x, y, radius = coordinate_map((3, 5))
    torch.testing.assert_close(x[0], torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0]))
    torch.testing.assert_close(y[:, 0], torch.tensor([-1.0, 0.0, 1.0]))
    assert radius[1, 2] == 0
    torch.testing.assert_close(radius[0, 0], torch.tensor(2.0).sqrt())
    torch.testing.assert_close(radius[1, 4], torch.tensor(1.0))
    assert torch.equal(coordinate_map((1, 1)), torch.zeros(3, 1, 1))


@pytest.mark.parametrize(
    ("settings", "outputs", "named"),
    [
        ({"mask_mix": True}, frozenset(), "mask_mix"),
        ({}, frozenset({"warped_labels"}), "warped_labels"),
    ],
)
def test_missing_exemplar_condition_is_explained(settings, outputs, named):
    module = trained(**settings)
    with pytest.raises(DataError, match=f"case0.*{named}.*exemplars' labels"):
        module(descriptors(), descriptors(), make_batch(labels=False), outputs)


def test_sizes_that_cannot_work_are_explained():
    with pytest.raises(ConfigError, match=r"9x18.*4x6"):
        trained()(descriptors(), descriptors(), make_batch(size=(9, 18)))
    with pytest.raises(ConfigError, match=r"1x6.*at least 2"):
        trained()(descriptors((1, 6)), descriptors((1, 6)), make_batch())
    batch = make_batch(size=(8, 18), exemplar_size=(16, 18))
    with pytest.raises(ConfigError, match="'patch'"):
        trained(warp="patch")(descriptors(), descriptors(), batch)


@pytest.mark.parametrize(
    "setting",
    [
        {"centre": "rows"},
        {"warp": "flow"},
        {"upsample": "cubic"},
        {"memory": "little"},
        {"neighbourhood": 2},
        {"temperature": 0.0},
    ],
)
def test_settings_outside_the_allowed_values_are_named(setting):
    (name, value), *_ = setting.items()
    with pytest.raises(ConfigError, match=rf"{name} is '?{value}'?; allowed"):
        CosineCorrespondence(CHANNELS, CLASSES, **setting)
