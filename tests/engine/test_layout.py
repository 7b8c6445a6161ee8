"""Channels beside each other: the same training to rounding, and a state that fits either way.
Convolutions are chosen as the config says."""

import copy

import pytest
import torch

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import train
from mcltoolkit.engine.layout import choose_convolutions, lay_out
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.errors import ConfigError
from mcltoolkit.ops.conv import allow_winograd


def logs(model, scenes, steps=4):
    side = {"optimizer": {"type": "Adam", "lr": 1e-3}}
    optim = GANOptimWrapperConstructor({"generator": side, "discriminator": side})(model.train())
    torch.manual_seed(1)
    return [model.train_step(scenes(), optim) for _ in range(steps)]


def test_losses_are_the_same_in_both_layouts(tiny_gan, scenes):
    torch.manual_seed(0)
    plain = tiny_gan()
    other = copy.deepcopy(plain)
    lay_out(other, "channels_last")
    weight = other.translator.generator.last.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    prepared = other.data_preprocessor(scenes(), True)
    assert prepared.truth.is_contiguous(memory_format=torch.channels_last)
    for one, two in zip(logs(plain, scenes), logs(other, scenes), strict=True):
        assert one.keys() == two.keys()
        for name in one:
            torch.testing.assert_close(one[name], two[name], rtol=2e-4, atol=1e-6)
    for name, value in plain.state_dict().items():
        assert other.state_dict()[name].shape == value.shape


def test_images_alone_for_weights_that_must_stay_as_they_are(tiny_gan, scenes):
    model = tiny_gan()
    before = [p.stride() for p in model.parameters()]
    lay_out(model, "channels_last", weights=False)
    assert [p.stride() for p in model.parameters()] == before
    outputs = []
    model.translator.generator.first.register_forward_hook(lambda m, i, out: outputs.append(out))
    model(model.data_preprocessor(scenes()))
    assert model.data_preprocessor(scenes()).exemplar.stride()[1] == 1


@pytest.mark.parametrize("setting", ["channel_last", None, 3])
def test_other_layouts_are_refused(tiny_gan, setting):
    with pytest.raises(ConfigError, match=r"memory_format is .*; allowed are 'contiguous', 'ch"):
        lay_out(tiny_gan(), setting)


@pytest.mark.parametrize("setting", ["auto", None, 1])
def test_other_choices_of_convolution_are_refused(setting):
    with pytest.raises(ConfigError, match="winograd is .*; allowed are True .* and False"):
        choose_convolutions(setting)


def test_a_run_chooses_convolutions(tiny_config, tmp_path):
    options = {"winograd": False, "train_cfg.max_iters": 1, "log_level": "ERROR"}
    config = load_config(tiny_config, options, work_dir=str(tmp_path))
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    try:
        train(config)
        assert allow_winograd(True) is False, "the run forbade it"
    finally:
        allow_winograd(True)


def test_a_run_goes_on_in_the_other_layout(tiny_config, tmp_path):
    """Checkpoints hold values, whatever the layout of the run that wrote them."""
    scalars = {}
    for name, formats in {"plain": ["contiguous"] * 2, "mixed": ["channels_last", "contiguous"],
                          "other": ["contiguous", "channels_last"]}.items():  # fmt: skip
        for number, layout in enumerate(formats):
            options = {"memory_format": layout, "train_cfg.max_iters": 4, "log_level": "ERROR",
                       "default_hooks.checkpoint.interval": 2}  # fmt: skip
            config = load_config(tiny_config, options, work_dir=str(tmp_path / name))
            config.val_dataloader = config.val_cfg = config.val_evaluator = None
            if number == 0:
                runner = train(config)
                (tmp_path / name / "iter_4.pth").unlink()
            else:
                runner = train(config, resume=str(tmp_path / name / "iter_2.pth"))
        history, _ = runner.message_hub.get_scalar("train/loss").data
        scalars[name] = torch.tensor(history)
        assert len(history) == 4
    for name in ("mixed", "other"):
        torch.testing.assert_close(scalars[name], scalars["plain"], rtol=2e-4, atol=1e-6)
