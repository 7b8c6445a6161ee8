import copy
import logging
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.hooks import LossAuditHook
from mcltoolkit.errors import LossWiringError

NAMES = ["adv", "cyc", "fcst", "feature_matching", "mask", "mcl", "pse"]
ALL = {"model.losses.fcst": {"type": "FeatureConsistencyLoss"}}


class Scenes(SyntheticScenes):
    """Scenes whose reading uses up every global source of random numbers."""

    paired = True

    def __getitem__(self, item):
        random.random(), np.random.rand(), torch.rand(1)
        sample = super().__getitem__(item)
        sample.paired = self.paired
        return sample


def runner_of(model, paired=True):
    dataset = Scenes(split="train", length=4, num_classes=6, size=(32, 32))
    dataset.paired = paired
    return SimpleNamespace(
        model=model,
        train_dataloader=SimpleNamespace(dataset=dataset),
        logger=logging.getLogger("audit"),
    )


def detach(model, name):
    """What a careless edit does: the loss is computed, logged and never learned from."""
    term = model.losses.terms[name]
    forward = type(term).forward
    term.forward = lambda translation: forward(term, translation).detach()


def test_a_sound_objective_passes_and_is_listed(tiny_gan, caplog):
    with caplog.at_level(logging.INFO, "audit"):
        LossAuditHook().before_train(runner_of(tiny_gan(ALL)))
    assert str(NAMES) in caplog.text


def test_nothing_of_the_run_changes(tiny_gan):
    model = tiny_gan(
        {"model.losses.mcl.positions": 5, "model.generator.spade_norm": "syncbn"}
    )  # draws positions, tracks batch statistics, iterates spectral norms
    model.train()
    model.translator.generator.eval()
    runner = runner_of(model)
    with torch.no_grad():
        model.forward(model.data_preprocessor(next_batch(runner)))
    state = copy.deepcopy(model.state_dict())
    modes = {name: module.training for name, module in model.named_modules()}
    sources = random.getstate(), np.random.get_state(), torch.get_rng_state()
    LossAuditHook().before_train(runner)
    assert random.getstate() == sources[0]
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), sources[1], strict=True))
    assert torch.equal(torch.get_rng_state(), sources[2])
    now = model.state_dict()
    assert now.keys() == state.keys()
    for name, value in state.items():
        assert torch.equal(now[name], value), name
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(p.grad is None for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters())


def next_batch(runner):
    from mcltoolkit.structures import collate

    return collate([runner.train_dataloader.dataset[0]])


def test_the_buffers_would_change_without_care(tiny_gan):
    """The test above can fail: one forward pass in training moves buffers."""
    model = tiny_gan({"model.generator.spade_norm": "syncbn"}).train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    with torch.no_grad():
        model.forward(model.data_preprocessor(next_batch(runner_of(model))))
    assert any(not torch.equal(value, before[name]) for name, value in model.named_buffers())


@pytest.mark.parametrize("name", NAMES)
def test_a_detached_loss_is_named(tiny_gan, name):
    model = tiny_gan(ALL)
    detach(model, name)
    with pytest.raises(LossWiringError, match=rf"losses \['{name}'\] have a non-zero weight"):
        LossAuditHook().before_train(runner_of(model))


def test_a_loss_that_trains_only_its_own_head_is_dead(tiny_gan):
    model = tiny_gan(ALL)
    term = model.losses.terms["mcl"]
    forward = type(term).forward

    def cut(translation):
        changed = copy.copy(translation)
        changed.condition_descriptors = translation.condition_descriptors.detach()
        changed.truth_descriptors = translation.truth_descriptors.detach()
        return forward(term, changed)

    term.forward = cut
    with pytest.raises(LossWiringError, match=r"\['mcl'\]"):
        LossAuditHook().before_train(runner_of(model))


def test_losses_on_paired_samples_are_accepted_when_the_first_ones_are_unpaired(tiny_gan):
    LossAuditHook().before_train(runner_of(tiny_gan(ALL), paired=False))


@pytest.mark.parametrize("name", ["pse", "cyc"])
def test_a_detached_loss_is_named_when_the_first_samples_are_unpaired(tiny_gan, name):
    model = tiny_gan(ALL)
    detach(model, name)
    with pytest.raises(LossWiringError, match=rf"losses \['{name}'\] have"):
        LossAuditHook().before_train(runner_of(model, paired=False))


def test_a_dead_loss_of_the_discriminator_is_named(tiny_gan):
    model = tiny_gan(ALL)
    term = model.losses.terms["adv"]
    term.discriminator_loss = lambda fake, real: (
        type(term).discriminator_loss(term, fake, real).detach()
    )
    with pytest.raises(LossWiringError, match=r"\['adv \(discriminator\)'\]"):
        LossAuditHook().before_train(runner_of(model))


def test_a_model_without_discriminator_passes(tiny_gan):
    model = tiny_gan({"model.losses.adv": None, "model.losses.feature_matching": None})
    LossAuditHook(samples=1).before_train(runner_of(model))


def test_frozen_parameters_make_every_loss_dead(tiny_gan):
    model = tiny_gan(ALL)
    model.translator.requires_grad_(False)
    with pytest.raises(LossWiringError) as caught:
        LossAuditHook().before_train(runner_of(model))
    assert all(f"'{name}'" in str(caught.value) for name in NAMES)
