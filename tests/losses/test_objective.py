from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mcltoolkit.errors import ConfigError, UnknownComponentError, WeightsError
from mcltoolkit.losses import CycleLoss, GeneratorObjective, PixelPseudoPairLoss

VGG = {"type": "VGG19Features", "weights": "random", "width_divisor": 16}
ALL = {
    "adv": {"type": "HingeAdversarialLoss", "weight": 2},
    "fm": {"type": "FeatureMatchingLoss"},
    "perceptual": {"type": "PerceptualLoss", "layer": "relu4_2"},
    "contextual": {"type": "ContextualLoss"},
    "pseudo": {"type": "PseudoPairLoss"},
    "pixel": {"type": "PixelPseudoPairLoss"},
    "fcst": {"type": "FeatureConsistencyLoss"},
    "cycle": {"type": "CycleLoss", "weight": 3},
    "mcl": {"type": "MarginalContrastiveLoss", "hidden": 16},
    "mask": {"type": "MaskLoss"},
    "self_warp": {"type": "SelfWarpLoss"},
}


def test_weighted_scalars_by_name(make_translation):
    objective = GeneratorObjective(ALL, VGG, feature_channels=6, descriptor_channels=8)
    translation = make_translation(2)
    losses = objective(translation)
    assert list(losses) == list(ALL)
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
    torch.testing.assert_close(losses["cycle"], 3 * CycleLoss()(translation))
    torch.testing.assert_close(losses["pixel"], PixelPseudoPairLoss()(translation))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("adv", lambda t: t.fake_pass.scales[0][-1]),
        ("fm", lambda t: t.fake_pass.scales[1][0]),
        ("fcst", lambda t: t.truth_features),
        ("cycle", lambda t: t.alignment.cycle),
        ("mask", lambda t: t.alignment.warped_labels),
        ("self_warp", lambda t: t.alignment.warped),
        ("mcl", lambda t: t.condition_descriptors),
    ],
)
def test_gradients_are_those_of_finite_differences(make_translation, name, read):
    """In double precision, which every loss keeps."""
    t = make_translation(2)
    places = (t, t.alignment, t.batch)
    for place in places:
        for field, value in vars(place).items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                setattr(place, field, value.detach().double().requires_grad_())
    for judged in (t.fake_pass, t.real_pass):
        judged.scales = [[layer.double().requires_grad_() for layer in s] for s in judged.scales]
    objective = GeneratorObjective({name: ALL[name]}, None, 6, 8).double()
    source = read(t)
    loss = objective(t)[name]
    assert loss.dtype == torch.float64
    (gradient,) = torch.autograd.grad(loss, source)
    direction = torch.randn_like(source)
    step = 1e-7
    with torch.no_grad():
        source += step * direction
        after = objective(t)[name]
        source -= 2 * step * direction
        before = objective(t)[name]
    slope = (after - before) / (2 * step)
    assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-5, abs=1e-6)
    assert gradient.abs().sum() > 0


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for an accelerator."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "masked_select", "equal"), name
        if name in ("index", "index_put_"):
            assert all(i is None or i.dtype != torch.bool for i in args[1]), "boolean index"
        return func(*args, **(kwargs or {}))


def test_no_loss_makes_the_host_wait(make_translation):
    settings = {**ALL, "mcl": {**ALL["mcl"], "positions": 5, "shared_positions": False}}
    objective = GeneratorObjective(settings, VGG, feature_channels=6, descriptor_channels=8)
    translation = make_translation(3)
    with NoWaiting():
        torch.stack(list(objective(translation).values())).sum().backward()
        objective.discriminator_losses(translation.fake_pass, translation.real_pass)
    for probe in (lambda t: t[t > 0], lambda t: t.sum().item()):
        with pytest.raises(AssertionError), NoWaiting():
            probe(translation.fake.detach())


def test_none_and_weight_zero_leave_a_term_out():
    objective = GeneratorObjective(
        {"cycle": {"type": "CycleLoss"}, "adv": None, "fm": {"type": "Absent", "weight": 0}}
    )
    assert list(objective.terms) == ["cycle"]
    assert objective.requires == {"cycle"}


def test_what_the_losses_need_together():
    objective = GeneratorObjective(ALL, VGG, feature_channels=6, descriptor_channels=8)
    assert objective.requires == {
        "discriminator", "truth", "image_features", "truth_features", "cycle", "warped_labels",
        "labels", "exemplar_labels",
    }  # fmt: skip
    assert objective.image_layers == {f"relu{i}_2" for i in range(1, 6)}
    assert objective.adversarial == ["adv"]
    assert objective.users_of("discriminator") == ["adv", "fm"]


def test_discriminator_losses_have_the_weight_of_the_generators_side(make_translation):
    objective = GeneratorObjective({"adv": ALL["adv"], "cycle": ALL["cycle"]})
    translation = make_translation(1)
    fake, real = translation.fake_pass, translation.real_pass
    losses = objective.discriminator_losses(fake, real)
    expected = objective.terms["adv"].discriminator_loss(fake, real)
    assert list(losses) == ["adv"]
    assert expected > 0.1
    torch.testing.assert_close(losses["adv"], 2 * expected)


def test_feature_network_is_shared_and_outside_the_module_tree(make_translation):
    objective = GeneratorObjective({k: ALL[k] for k in ("perceptual", "contextual", "pseudo")}, VGG)
    assert list(objective.parameters()) == []
    assert objective.state_dict() == {}
    assert list(objective.modules())[1:] == [objective.terms, *objective.terms.values()]
    (network,) = objective._features
    seen = []
    network.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    translation = make_translation(2)
    losses = objective(translation)
    images = (translation.fake, translation.batch.truth, translation.batch.exemplar)
    assert len(seen) == 3
    assert {id(i) for i in seen} == {id(i) for i in images}
    torch.stack(list(losses.values())).sum().backward()
    assert translation.fake.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())


def test_feature_network_moves_with_the_module_and_stays_in_eval():
    objective = GeneratorObjective({"perceptual": ALL["perceptual"]}, VGG)
    (network,) = objective._features
    holder = nn.Sequential(objective).double().train()
    assert next(network.parameters()).dtype == torch.float64
    assert not network.training
    holder.to("meta")
    assert next(network.parameters()).is_meta
    assert network.mean.is_meta


def test_copies_work(make_translation):
    objective = GeneratorObjective({"perceptual": ALL["perceptual"]}, VGG)
    first = objective(make_translation(2))["perceptual"]
    second = copy.deepcopy(objective)(make_translation(2))["perceptual"]
    assert torch.equal(first, second)


def test_feature_network_gets_the_layers_asked_for_and_its_own():
    objective = GeneratorObjective(
        {"perceptual": ALL["perceptual"]}, {**VGG, "layers": ["relu1_1"]}
    )
    assert objective._features[0].layers == ("relu1_1", "relu4_2")
    unused = GeneratorObjective({"cycle": ALL["cycle"]}, {"type": "VGG19Features"})
    assert unused._features == ()


@pytest.mark.parametrize(("features", "channels"), [("descriptors", 8), ("encoder", 6), (None, 8)])
def test_channels_are_filled_in(make_translation, features, channels):
    settings = dict(ALL["mcl"], **({"features": features} if features else {}))
    objective = GeneratorObjective({"mcl": settings}, None, 6, 8)
    assert objective.terms["mcl"].head.layers[0].in_features == channels
    assert objective(make_translation(2))["mcl"].isfinite()


def test_channels_given_by_the_config_win():
    objective = GeneratorObjective({"mcl": dict(ALL["mcl"], in_channels=5)}, None, 6, 8)
    assert objective.terms["mcl"].head.layers[0].in_features == 5


def test_missing_feature_network_names_losses_and_setting():
    with pytest.raises(
        ConfigError, match=r"\['perceptual', 'contextual'\].*model\.vgg=dict\(type='VGG19Features'"
    ):
        GeneratorObjective({k: ALL[k] for k in ("perceptual", "cycle", "contextual")})
    with pytest.raises(WeightsError, match=r"model\.vgg\.weights"):
        GeneratorObjective({"perceptual": ALL["perceptual"]}, {"type": "VGG19Features"})
    with pytest.raises(ConfigError, match=r"model\.vgg is \{'weights': 'random'.*key 'type'"):
        GeneratorObjective({"perceptual": ALL["perceptual"]}, {"weights": "random"})


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"cycle": {"weight": 1}}, r"model\.losses\.cycle is .*'type'"),
        (
            {"cyc": {"type": "CycleLoss"}, "cycc": {"weight": 2}},
            r"model\.losses\.cycc is .*did you mean 'cyc'\?",
        ),
        ({"cycle": 1.0}, r"model\.losses\.cycle is 1\.0"),
        ({"cycle": {"type": "CycleLoss", "wieght": 1}}, r"model\.losses\.cycle.*wieght"),
        ({"cycle": {"type": "CycleLoss", "weight": -1}}, "weight is -1"),
        ({"pop": {"type": "CycleLoss"}}, "cannot be named 'pop'"),
        ({"a.b": {"type": "CycleLoss"}}, r"cannot be named 'a\.b'"),
        ({"odd": {"type": nn.Identity}}, "no mcltoolkit.losses.base.Loss"),
    ],
)
def test_configs_are_checked(losses, message):
    with pytest.raises(ConfigError, match=message):
        GeneratorObjective(losses)


def test_unknown_loss_has_near_matches():
    with pytest.raises(UnknownComponentError, match="CycleLoss"):
        GeneratorObjective({"cycle": {"type": "CycelLoss"}})
