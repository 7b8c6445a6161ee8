"""One process; tests/engine/test_equal_ranks.py has the ranks, wrapped and sharded."""

import copy
import warnings

import pytest
import torch
from torch import nn

from mcltoolkit.engine import recompute
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.engine.recompute import blocks_of, recompute_activations
from mcltoolkit.errors import ConfigError

PARTS = [
    *(f"translator.{part}" for part in ("condition_encoder", "image_encoder", "self_correlation")),
    *("translator.correspondence", "translator.generator", "discriminator", "losses.terms.mcl"),
]
# spectral norm, running statistics, positions and shifts drawn at random
OPTIONS = {
    "model.condition_encoder.norm": "bn",
    "model.image_encoder.spade_norm": "bn",
    "model.generator.spade_norm": "syncbn",
    "model.discriminator.norm": "bn",
    "model.losses.mcl.positions": 16,
    "model.shift_truth": True,
}


@pytest.fixture
def trained(tiny_gan, scenes):
    """State and losses after two steps, some parts computed twice."""

    def train(parts, kind="OptimWrapper"):
        torch.manual_seed(0)
        model = tiny_gan(OPTIONS).train()
        recompute_activations(model, parts)
        passes = []
        model.translator.image_encoder.stages[0][0].register_forward_hook(
            lambda *_: passes.append(1)
        )
        side = {"type": kind, "optimizer": {"type": "Adam", "lr": 1e-3}}
        optim = GANOptimWrapperConstructor({"generator": side, "discriminator": side})(model)
        torch.manual_seed(1)
        logs = [model.train_step(scenes(), optim) for _ in range(2)]
        return model.state_dict(), logs, len(passes), torch.get_rng_state()

    return train


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("OptimWrapper", PARTS), ("AutocastOptimWrapper", PARTS), ("OptimWrapper", ["blocks"])],
)
def test_computing_twice_gives_the_same_to_the_bit(trained, kind, parts):
    plain, twice = trained([], kind), trained(parts, kind)
    assert plain[0].keys() == twice[0].keys()
    for name, value in plain[0].items():
        assert torch.equal(value, twice[0][name]), name
    for one, other in zip(plain[1], twice[1], strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert torch.equal(plain[3], twice[3]), "later draws are the same too"
    assert twice[2] == 2 * plain[2], "each pass of the encoder was computed twice"


def test_blocks_are_the_members_of_lists_and_sequences(tiny_gan):
    model = tiny_gan()
    found = recompute_activations(model, ["blocks"])
    assert found == blocks_of(model)
    for name in ("translator.generator.stages.head", "translator.image_encoder.stages.0",
                 "translator.correspondence.layer.0", "discriminator.scales.1"):  # fmt: skip
        assert name in found
    assert not [name for name in found if "parametrizations" in name]
    covered = [name for name, part in model.named_modules()
               if type(part).__name__ in ("SPADEResBlock", "SharedResidualBlock")]  # fmt: skip
    assert covered
    assert set(covered) <= set(found)


def test_patterns_and_finer_parts_of_blocks(tiny_gan):
    stages = recompute_activations(tiny_gan(), ["translator.generator.stages.*"])
    assert stages == [f"translator.generator.stages.{name}"
                      for name in tiny_gan().translator.generator.stages]  # fmt: skip
    found = recompute_activations(tiny_gan(), ["translator.generator.stages.up_*.norm_*", "blocks"])
    assert "translator.generator.stages.head" in found
    assert "translator.generator.stages.up_0" not in found
    assert "translator.generator.stages.up_0.norm_1" in found


def test_the_fixed_network_behind_the_losses(tiny_gan, scenes):
    options = {
        "model.vgg": {"type": "VGG19Features", "weights": "random", "width_divisor": 16},
        "model.losses.per": {"type": "PerceptualLoss", "layer": "relu2_2", "weight": 1.0},
    }
    found = []
    for names in ([], ["vgg"], ["blocks"]):
        torch.manual_seed(0)
        model = tiny_gan(options).train()
        assert recompute_activations(model, names)[-1:] == ["vgg"][: len(names)]
        _, losses = model.generator_losses(model.data_preprocessor(scenes(), True))
        losses["per"].backward()
        found.append((losses["per"], model.translator.generator.first.weight.grad))
    for loss, gradient in found[1:]:
        assert torch.equal(loss, found[0][0])
        assert torch.equal(gradient, found[0][1])
    with pytest.raises(ConfigError, match="'vgg', which is no module of the model"):
        recompute_activations(tiny_gan(), ["vgg"])


def test_the_generators_step_leaves_a_frozen_discriminator_alone(tiny_gan, scenes):
    model = tiny_gan().train()
    recompute_activations(model, ["discriminator"])
    _, losses = model.generator_losses(model.data_preprocessor(scenes(), True))
    losses["adv"].backward()
    assert all(p.grad is None and p.requires_grad for p in model.discriminator.parameters())
    assert any(p.grad is not None for p in model.translator.generator.parameters())


def test_memory_is_given_back_before_a_part_is_computed_again(tiny_gan, scenes, monkeypatch):
    devices = []
    monkeypatch.setattr(recompute, "give_back", devices.append)
    model = tiny_gan().train()
    parts = recompute_activations(model, ["translator.generator.stages.*"])
    _, losses = model.generator_losses(model.data_preprocessor(scenes(), True))
    assert not devices
    torch.stack(list(losses.values())).sum().backward()
    assert devices == [torch.device("cpu")] * len(parts)


def test_several_backward_passes_over_one_graph(tiny_gan, scenes):
    found = []
    for parts in ([], PARTS):
        torch.manual_seed(0)
        model = tiny_gan(OPTIONS).train()
        recompute_activations(model, parts)
        _, losses = model.generator_losses(model.data_preprocessor(scenes(), True))
        weight = model.translator.generator.first.weight
        terms = [losses["adv"], losses["pse"], losses["adv"]]
        found.append([torch.autograd.grad(term, weight, retain_graph=True)[0] for term in terms])
    for plain, twice in zip(*found, strict=True):
        assert torch.equal(plain, twice)


def test_nothing_is_kept_without_gradient(tiny_gan, scenes):
    model = tiny_gan().eval()
    batch = model.data_preprocessor(scenes())
    with torch.no_grad():
        before = model(batch).fake
        recompute_activations(model, PARTS)
        assert torch.equal(model(batch).fake, before)


def test_a_copy_computes_with_its_own_weights(tiny_gan):
    model = tiny_gan()
    recompute_activations(model, ["translator.self_correlation"])
    twin = copy.deepcopy(model).translator.self_correlation
    features = torch.rand(1, model.translator.feature_channels, 8, 8, requires_grad=True)
    before = model.translator.self_correlation(features)
    with torch.no_grad():
        for value in twin.parameters():
            value.zero_()
    assert torch.equal(model.translator.self_correlation(features), before)
    assert not torch.equal(twin(features), before)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["translator.generater"], r"'translator.generater', which is no module.*'?translator.gen"),
        (["translator", "translator.generator"], "'translator.generator' and 'translator', which"),
        (["discriminator"] * 2, "'discriminator' and 'discriminator'"),
        (["translator.generator.stages.x"], "is no module of the model"),
        (
            ["discriminator.scales"],
            r"a list .* 'discriminator.scales.\*' or 'discriminator.scales.0'",
        ),
        (
            ["translator.*.stags.*"],
            "'translator.*.stags.*', which is no module .* allowed are 'blo",
        ),
        (["blocks", "translator"], "'translator', which holds it"),
    ],
)
def test_names_are_checked(tiny_gan, names, told):
    with pytest.raises(ConfigError, match=told):
        recompute_activations(tiny_gan(), names)


def test_arguments_without_tensors_and_modules_without_weights():
    class Plain(nn.Module):
        def forward(self, values, factor=1.0):
            return {"product": values["x"] * factor}

    model = nn.Module()
    model.part = Plain()
    recompute_activations(model, ["part"])
    x = torch.ones(2, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.part({"x": x}, factor=3.0)["product"].sum().backward()
    assert x.grad.tolist() == [3, 3]
