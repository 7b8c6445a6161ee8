"""torch.compile on parts, with back ends that need no C++ compiler."""

import copy

import pytest
import torch

from mcltoolkit.engine import launch
from mcltoolkit.engine.compiling import PARTS, compile_parts, explain_compiler
from mcltoolkit.engine.config import load_config
from mcltoolkit.errors import ConfigError


def test_named_parts_are_compiled_in_place(tiny_gan):
    model = tiny_gan()
    names = list(model.state_dict())
    assert compile_parts(model, None) == compile_parts(model, False) == []
    assert compile_parts(model, {"parts": "discriminator", "backend": "eager"}) == ["discriminator"]
    assert compile_parts(model, True) == list(PARTS)
    assert list(model.state_dict()) == names


def test_a_compiled_part_computes_the_same(tiny_gan, scenes):
    torch.manual_seed(0)
    model = tiny_gan().train()
    batch = model.data_preprocessor(scenes(), True)
    twin = copy.deepcopy(model)
    compile_parts(twin, {"parts": ["translator.generator"], "backend": "aot_eager"})
    found = []
    for each in (model, twin):
        fake = each(batch).fake
        weight = each.translator.generator.last.bias
        found.append((fake, torch.autograd.grad(fake.sum(), weight)[0]))
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("generator", r"compile is 'generator'; allowed are None, True, and a dict"),
        ({"parts": ["translator.generater"]}, "'translator.generater', which is no module"),
        ({"parts": ["discriminator.scales"]}, "'discriminator.scales', which is no module"),
        ({"parts": ["discriminator"], "mood": "fast"}, "'mood'.* allowed are `parts` and"),
        ({"parts": ["discriminator"], "mode": "fast"}, r"cannot be used: .*fast"),
    ],
)
def test_settings_are_checked(tiny_gan, settings, told):
    with pytest.raises(ConfigError, match=told):
        compile_parts(tiny_gan(), settings)


def test_a_training_with_a_compiled_part(tiny_config, tmp_path):
    options = {"train_cfg.max_iters": 1, "log_level": "ERROR"}
    config = load_config(tiny_config, options, work_dir=str(tmp_path))
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.compile = dict(parts=["translator.generator.last"], backend="eager")
    launch.train(config)
    assert (tmp_path / "iter_1.pth").exists()
    config.activation_checkpointing = ["blocks"]
    with pytest.raises(ConfigError, match="compile and activation_checkpointing are both set"):
        launch.train(config)


def test_what_the_compiler_cannot_do_is_told():
    made = type("BackendCompilerFailed", (RuntimeError,), {"__module__": "torch._dynamo.exc"})
    with pytest.raises(ConfigError, match=r"cannot compile .* no compiler; name fewer in compile"):
        explain_compiler(made("no compiler\nmore"), {"parts": ["discriminator"]})
    explain_compiler(RuntimeError("another"), True)
