import copy

import pytest
import torch
from torch import nn

from mcltoolkit.engine.optim import (
    AutocastOptimWrapper,
    ConstantThenLinearLR,
    GANOptimWrapperConstructor,
)
from mcltoolkit.errors import ConfigError

ADAM = {"optimizer": {"type": "Adam", "lr": 1e-3, "betas": (0.0, 0.999)}}


def gan():
    model = nn.Module()
    model.translator = nn.Linear(2, 2)
    model.losses = nn.Linear(3, 3)
    model.discriminator = nn.Linear(4, 4)
    return model


def test_each_side_owns_its_parameters():
    model = gan()
    model.translator.bias.requires_grad_(False)
    wrappers = GANOptimWrapperConstructor({"generator": ADAM, "discriminator": ADAM})(model)

    def sizes(side):
        group = wrappers[side].optimizer.param_groups[0]["params"]
        return sorted(p.numel() for p in group)

    assert sizes("generator") == [3, 4, 9]
    assert sizes("discriminator") == [4, 16]


def test_a_model_without_discriminator_needs_no_second_optimiser():
    model = gan()
    model.discriminator = None
    wrappers = GANOptimWrapperConstructor({"generator": ADAM, "discriminator": ADAM})(model)
    assert list(wrappers.keys()) == ["generator"]


def test_missing_and_unknown_sides_are_named():
    with pytest.raises(ConfigError, match=r"optim_wrapper\.discriminator is missing"):
        GANOptimWrapperConstructor({"generator": ADAM})(gan())
    with pytest.raises(ConfigError, match=r"\['critic'\]; allowed are"):
        GANOptimWrapperConstructor({"critic": ADAM})


@pytest.mark.parametrize(
    ("settings", "fused"),
    [
        ({"type": "Adam"}, True),
        ({"type": torch.optim.AdamW}, True),
        ({"type": "Adam", "fused": False}, False),
        ({"type": "Adam", "foreach": True}, None),
        ({"type": "SGD"}, None),
    ],
)
def test_adam_steps_in_one_kernel_unless_told_otherwise(settings, fused):
    side = {"optimizer": {"lr": 1e-3, **settings}}
    wrappers = GANOptimWrapperConstructor({"generator": side, "discriminator": side})(gan())
    assert wrappers["generator"].optimizer.defaults["fused"] is fused


def step(model, wrappers, count=1):
    for number in range(count):
        x = torch.linspace(-1, 1, 4 * 5 * 5).view(1, 4, 5, 5) + number
        loss = model.translator(x).square().mean() + model.losses(x.mean((2, 3))[:, :3]).sum()
        wrappers["generator"].update_params(loss)


def convolving(options, channels_last=False):
    torch.manual_seed(0)
    model = gan()
    model.translator = nn.Conv2d(4, 6, 3)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    side = {"optimizer": {"type": "Adam", "lr": 1e-2, **options}}
    return model, GANOptimWrapperConstructor({"generator": side, "discriminator": side})(model)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_a_resumed_run_steps_in_its_own_way(fused, channels_last):
    """Checkpoints of runs with and without fused kernels, in both layouts, go on in any of them."""
    model, wrappers = convolving({"fused": False})
    step(model, wrappers, 2)
    for theirs, layout in ((fused, channels_last), (not fused, not channels_last)):
        source, saved = convolving({"fused": theirs}, layout)
        step(source, saved, 2)
        resumed, optim = convolving({"fused": fused}, channels_last)
        resumed.load_state_dict(source.state_dict())
        optim.load_state_dict(saved.state_dict())
        adam = optim["generator"].optimizer
        assert adam.param_groups[0]["fused"] is fused
        for parameter, state in adam.state.items():
            assert state["exp_avg"].stride() == parameter.stride()
        step(resumed, optim)
        compared, ours = convolving({"fused": False})
        compared.load_state_dict(model.state_dict())
        ours.load_state_dict(copy.deepcopy(wrappers.state_dict()))
        step(compared, ours)
        for one, other in zip(resumed.parameters(), compared.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_rate_is_constant_then_falls_linearly_to_zero():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=8.0)
    schedule = ConstantThenLinearLR(optimizer, by_epoch=False, constant=0.5, end=8)
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:5] == [8.0] * 5
    assert rates[5:] == pytest.approx([6.0, 4.0, 2.0])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0)


def test_stair_keeps_each_epoch_at_the_rate_the_released_code_gives_it():
    """There, the rate falls by 1/4 of itself after each epoch that is numbered above 4, from 1 on;
    here 4 + 4 epochs of 3 iterations."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=8.0)
    schedule = ConstantThenLinearLR(optimizer, by_epoch=False, constant=0.5, steps=4, end=8 * 3)
    expected, rate = [], 8.0
    for epoch in range(1, 9):
        expected += [rate] * 3
        rate -= 8.0 / 4 if epoch > 4 else 0
    rates = []
    for _ in expected:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == expected


def test_a_stair_without_steps_is_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=8.0)
    with pytest.raises(ConfigError, match=r"steps is 0; allowed is None, or 1 or more"):
        ConstantThenLinearLR(optimizer, by_epoch=False, steps=0, end=8)


def test_counting_epochs_is_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=8.0)
    with pytest.raises(ConfigError, match="needs by_epoch=False"):
        ConstantThenLinearLR(optimizer, end=8)


def test_autocast_runs_the_forward_in_bfloat16_and_keeps_float32_weights():
    layer = nn.Linear(4, 4)
    before = layer.weight.detach().clone()
    wrapper = AutocastOptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.1))
    with wrapper.optim_context(layer):
        out = layer(torch.ones(2, 4))
    assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().sum())
    assert layer.weight.dtype == torch.float32
    assert torch.allclose(layer.weight, before - 0.2)


def test_autocast_state_round_trip():
    layer = nn.Linear(4, 4)
    wrapper = AutocastOptimWrapper(optimizer=torch.optim.Adam(layer.parameters(), lr=0.1))
    wrapper.update_params(layer(torch.ones(2, 4)).sum())
    other = AutocastOptimWrapper(optimizer=torch.optim.Adam(layer.parameters(), lr=0.2))
    other.load_state_dict(wrapper.state_dict())
    assert other.optimizer.param_groups[0]["lr"] == 0.1
    assert len(other.optimizer.state) == 2


def test_unknown_precision_is_named():
    with pytest.raises(ConfigError, match="'float8'; allowed are 'float16'"):
        AutocastOptimWrapper(
            dtype="float8", optimizer=torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
        )
