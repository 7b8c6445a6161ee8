"""Every op has its plain form, and whole models compute the same with either."""

import inspect
from contextlib import nullcontext

import pytest
import torch

from benchmarks import plain
from benchmarks.plain_model import plain_model
from benchmarks.whole import random_batch
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.optim import GANOptimWrapperConstructor

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
    assert ours.return_annotation == theirs.return_annotation


def test_substitution_ends_with_its_context():
    before = plain.ops()
    with plain.substituted() as names:
        assert names == sorted(before)
        assert plain.ops() == {name: plain.FORMS[name] for name in before}
        with pytest.raises(ZeroDivisionError), plain.substituted():
            raise ZeroDivisionError
    assert plain.ops() == before


def train(build, config, dtype, context):
    """Losses of 20 steps of a tiny model, from the same weights and on the same batches."""
    torch.manual_seed(0)
    model = build({"model.condition_channels": CLASSES}).train().to(dtype)
    settings = load_config(config).optim_wrapper.to_dict()
    settings.pop("constructor", None)
    optimisers = GANOptimWrapperConstructor(settings)(model)
    logs = []
    with context():
        for step in range(STEPS):
            batch = random_batch(step, (32, CLASSES, 2)).map_tensors(
                lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor
            )
            torch.manual_seed(step)
            found = model.train_step(batch, optimisers)
            logs.append({name: float(value) for name, value in found.items()})
    return logs


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-4)], ids=["double", "single"]
)
def test_twenty_steps_have_the_losses_of_the_plain_model(tiny_gan, tiny_config, dtype, tolerance):
    fast = train(tiny_gan, tiny_config, dtype, nullcontext)
    slow = train(tiny_gan, tiny_config, dtype, plain_model)
    assert len(fast) == len(slow) == STEPS
    assert fast[0] != fast[-1], "it trains"
    for ours, theirs in zip(fast, slow, strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance)
