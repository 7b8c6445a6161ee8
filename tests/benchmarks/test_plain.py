"""Every op has its plain form, and whole models compute the same with either."""

import inspect
from contextlib import nullcontext

import pytest
import torch

from benchmarks import plain
from benchmarks.plain_model import plain_model
from benchmarks.whole import random_batch
from mcltoolkit.context import OneHot, as_dense
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.ops.one_hot import one_hot_avg_pool2d

STEPS, CLASSES = 20, 30


def test_every_op_has_a_plain_form():
    assert plain.missing() == []
    assert plain.ops(), "there are ops"


@pytest.mark.parametrize("name", sorted(plain.ops()))
def test_plain_forms_take_what_ops_take(name):
    ours, theirs = (inspect.signature(form) for form in (plain.ops()[name], plain.FORMS[name]))
    assert list(ours.parameters) == list(theirs.parameters)
    for key, parameter in ours.parameters.items():
        assert parameter.default == theirs.parameters[key].default, key
        assert parameter.kind == theirs.parameters[key].kind, key


def test_substitution_ends_with_its_context():
    before = plain.ops()
    with plain.substituted() as names:
        assert names == sorted(before)
        assert plain.ops() == {name: plain.FORMS[name] for name in before}
        with pytest.raises(ZeroDivisionError), plain.substituted():
            raise ZeroDivisionError
    assert plain.ops() == before


def made(build, config, dtype):
    """A tiny model and its optimisers, the same ones at every call."""
    torch.manual_seed(0)
    model = build({"model.condition_channels": CLASSES}).train().to(dtype)
    settings = load_config(config).optim_wrapper.to_dict()
    settings.pop("constructor", None)
    return model, GANOptimWrapperConstructor(settings)(model)


def batch_of(step, dtype):
    batch = random_batch(step, (32, CLASSES, 2))
    return batch.map_tensors(lambda t: t.to(dtype) if t.is_floating_point() else t)


def take(model, optimisers, step, dtype, context=nullcontext):
    torch.manual_seed(step)
    with context():
        found = model.train_step(batch_of(step, dtype), optimisers)
    return {name: float(value) for name, value in found.items()}


@pytest.fixture
def one_hot_in_double(monkeypatch):
    """One-hot maps are float32 where nobody says otherwise."""
    makers = (OneHot.dense, as_dense, plain.FORMS["one_hot_avg_pool2d"], one_hot_avg_pool2d)
    for maker in makers:
        monkeypatch.setattr(maker, "__defaults__", (torch.float64,))


@pytest.mark.usefixtures("one_hot_in_double")
def test_twenty_steps_have_the_losses_of_the_plain_model(tiny_gan, tiny_config):
    """In double precision: a training multiplies its rounding errors, several times each step."""
    logs = []
    for context in (nullcontext, plain_model):
        model, optimisers = made(tiny_gan, tiny_config, torch.float64)
        logs.append([take(model, optimisers, i, torch.float64, context) for i in range(STEPS)])
    assert logs[0][0] != logs[0][-1], "it trains"
    for ours, theirs in zip(*logs, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    for ours, theirs in list(zip(*logs, strict=True))[:5]:
        assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-10)


def test_in_single_precision_each_of_twenty_steps_has_them(tiny_gan, tiny_config):
    """From the weights that the fast model has come to."""
    model, optimisers = made(tiny_gan, tiny_config, torch.float32)
    twin, of_twin = made(tiny_gan, tiny_config, torch.float32)
    for step in range(STEPS):
        twin.load_state_dict(model.state_dict())
        theirs = take(twin, of_twin, step, torch.float32, plain_model)
        ours = take(model, optimisers, step, torch.float32)
        # the discriminator judges the same fake image: its losses come before its own update
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
