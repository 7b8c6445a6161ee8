"""Mixed precision: the order of scaling, clipping and stepping, and how near it comes to float32.

bfloat16 has 8 significant bits: one rounding changes a number by at most 2^-8 of itself.
"""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from mcltoolkit.engine.optim import AutocastOptimWrapper, GANOptimWrapperConstructor
from mcltoolkit.layers import Conv

SIDES = ("generator", "discriminator")
PARTS = ("condition_encoder", "image_encoder", "generator", "discriminator")


def scaled(weight, **settings):
    """A float16 wrapper around plain gradient descent, lr 1, on any device."""
    return AutocastOptimWrapper(
        dtype="float16", optimizer=torch.optim.SGD([weight], lr=1.0), **settings
    )


def vector(*values):
    return nn.Parameter(torch.tensor(values))


def test_gradients_are_clipped_after_unscaling():
    """The gradient (3, 4) of norm 5, clipped to 0.5: a step of (0.3, 0.4), whatever the scale."""
    for loss_scale in (1.0, 1024.0):
        weight = vector(0.0, 0.0)
        wrapper = scaled(weight, loss_scale=loss_scale, clip_grad={"max_norm": 0.5})
        wrapper.update_params((weight * torch.tensor([3.0, 4.0])).sum())
        torch.testing.assert_close(weight.data, torch.tensor([-0.3, -0.4]))


def test_a_window_is_unscaled_and_clipped_once_as_a_whole():
    """Mean gradient of the window: (3, 4) again, from parts that would each be clipped."""
    weight = vector(0.0, 0.0)
    wrapper = scaled(weight, loss_scale=64.0, accumulative_counts=2, clip_grad={"max_norm": 0.5})
    wrapper.scaler.set_growth_interval(1)
    wrapper.update_params((weight * torch.tensor([6.0, 0.0])).sum())
    assert torch.equal(weight.data, torch.zeros(2))
    assert wrapper.scaler.get_scale() == 64.0, "the scale is the same in all of a window"
    wrapper.update_params((weight * torch.tensor([0.0, 8.0])).sum())
    torch.testing.assert_close(weight.data, torch.tensor([-0.3, -0.4]))
    assert wrapper.scaler.get_scale() == 128.0


@pytest.mark.parametrize("clip", [None, {"max_norm": 1.0}])
def test_an_overflow_leaves_the_step_out_and_halves_the_scale(clip):
    weight = vector(1.0)
    wrapper = scaled(weight, loss_scale=8.0, clip_grad=clip)
    wrapper.update_params((weight * float("inf")).sum())
    assert weight.item() == 1.0
    assert weight.grad is None
    assert wrapper.scaler.get_scale() == 4.0
    wrapper.update_params((0.5 * weight).sum())
    assert weight.item() == 0.5


def test_each_side_scales_on_its_own_and_the_scales_survive_a_resume():
    def build():
        model = nn.Module()
        model.translator, model.discriminator = nn.ParameterList([vector(1.0)]), nn.Linear(1, 1)
        side = {"type": "AutocastOptimWrapper", "dtype": "float16", "loss_scale": 8.0,
                "optimizer": {"type": "Adam", "lr": 0.1}}  # fmt: skip
        return model, GANOptimWrapperConstructor({s: dict(side) for s in SIDES})(model)

    model, optim = build()
    optim["generator"].update_params(model.translator[0].sum() * float("inf"))
    optim["discriminator"].update_params(model.discriminator.weight.sum())
    file = io.BytesIO()
    torch.save(optim.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    _, resumed = build()
    resumed.load_state_dict(saved)
    for side, scale, streak in (("generator", 4.0, 0), ("discriminator", 8.0, 1)):
        scaler = resumed[side].scaler
        assert (scaler.get_scale(), scaler.state_dict()["_growth_tracker"]) == (scale, streak)
    # after a scaler's first use, its state lies in tensors
    again, third = build()
    third["generator"].update_params(again.translator[0].sum())
    third.load_state_dict(saved)
    assert third["generator"].scaler.get_scale() == 4.0


def trained(model, batches, device="cpu", **precision):
    torch.manual_seed(0)
    model = copy.deepcopy(model).to(device).train()
    side = {"optimizer": {"type": "SGD", "lr": 1e-3}, **precision}
    optim = GANOptimWrapperConstructor({name: dict(side) for name in SIDES})(model)
    logs = [model.train_step(batch, optim) for batch in batches]
    weights = {n: p.detach().cpu() for n, p in model.named_parameters()}
    return [{n: float(v) for n, v in log.items()} for log in logs], weights


def agrees(tiny_gan, scenes, unit, device="cpu", **precision):
    """Compare losses and the way that the weights went in three steps.

    Each layer rounds inputs, weights and outputs: three errors of one `unit` at most. A path
    through the networks has no more layers than the model, and independent errors add up as the
    root of their number.
    """
    options = {f"model.{part}.init_gain": 1.0 for part in PARTS}
    options["model.correspondence.temperature"] = 1.0
    model = tiny_gan(options)
    batches = [scenes(2, paired=torch.tensor([True, False])) for _ in range(3)]
    logs, weights = trained(model, batches, device)
    mixed_logs, mixed_weights = trained(model, batches, device, **precision)
    allowed = unit * (3 * sum(isinstance(m, Conv) for m in model.modules())) ** 0.5
    for log, mixed in zip(logs, mixed_logs, strict=True):
        assert mixed == pytest.approx(log, rel=allowed)
    start = dict(model.named_parameters())

    def distance(ours, theirs):
        squares = [(ours[n] - theirs[n]).detach().double().square().sum() for n in start]
        return float(torch.stack(squares).sum().sqrt())

    apart = distance(mixed_weights, weights) / distance(weights, start)
    assert unit / 100 < apart < allowed, "also, that the precision was reduced at all"


def test_bfloat16_agrees_with_float32_to_its_precision(tiny_gan, scenes):
    agrees(tiny_gan, scenes, 2.0**-8, type="AutocastOptimWrapper", dtype="bfloat16")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "unit"), [("bfloat16", 2.0**-8), ("float16", 2.0**-11)])
def test_reduced_precision_agrees_with_float32_on_a_gpu(tiny_gan, scenes, dtype, unit):
    agrees(tiny_gan, scenes, unit, "cuda", type="AutocastOptimWrapper", dtype=dtype)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_overflow_on_a_gpu_leaves_only_its_own_side_out(tiny_gan, scenes):
    """The generator's scale starts where float16 ends; the discriminator's is harmless."""
    model = tiny_gan().cuda().train()
    side = {"type": "AutocastOptimWrapper", "dtype": "float16", "loss_scale": 1.0,
            "optimizer": {"type": "SGD", "lr": 1e-3}}  # fmt: skip
    sides = {"generator": {**side, "loss_scale": 2.0**60}, "discriminator": side}
    optim = GANOptimWrapperConstructor(sides)(model)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    model.train_step(scenes(), optim)
    moved = {n.partition(".")[0] for n, p in model.named_parameters()
             if not torch.equal(p, before[n])}  # fmt: skip
    assert moved == {"discriminator"}
    assert optim["generator"].scaler.get_scale() == 2.0**59
    assert optim["discriminator"].scaler.get_scale() == 1.0
