import io
from types import SimpleNamespace

import pytest
import torch

from mcltoolkit.engine.checkpoints import plain
from mcltoolkit.engine.hooks import EMAHook
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.errors import ConfigError, WeightsError


def runner_of(model, resume=False, train_loop="loop"):
    return SimpleNamespace(model=model, _resume=resume, _train_loop=train_loop)


def started(model, decay=0.75, **settings):
    hook, runner = EMAHook(decay), runner_of(model, **settings)
    hook.before_run(runner)
    return hook, runner


def train(model, steps, hook=None, runner=None):
    """Stands for training: random steps of all parameters, and buffers that follow."""
    for step in range(steps):
        with torch.no_grad():
            for value in (*model.translator.parameters(), *model.translator.buffers()):
                value.add_(torch.randn_like(value) if value.is_floating_point() else 1)
        if hook is not None:
            hook.after_train_iter(runner, step)
        yield {k: v.clone() for k, v in model.translator.state_dict().items()}


def averaged(hook):
    return {k: v.clone() for k, v in hook.average.items()}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_the_average_follows_the_formula(tiny_gan):
    model = tiny_gan({"model.generator.spade_norm": "bn"})
    hook, runner = started(model)
    weights = {name for name, _ in model.translator.named_parameters()}
    expected = None
    for state in train(model, 5, hook, runner):
        if expected is None:
            expected = {name: state[name] for name in weights}
        else:
            expected = {n: 0.75 * expected[n] + 0.25 * state[n] for n in weights}
        found = averaged(hook)
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name] if name in weights else state[name])
    assert set(found) > weights, "there are buffers, too"
    assert not any(value.requires_grad for value in hook.average.values())


@pytest.mark.parametrize("phase", ["val", "test"])
def test_evaluation_sees_the_average_and_gives_the_trained_weights_back(tiny_gan, phase):
    model = tiny_gan()
    hook, runner = started(model)
    (*_, trained) = train(model, 3, hook, runner)
    average = averaged(hook)
    assert not same(trained, average)
    getattr(hook, f"before_{phase}_epoch")(runner)
    assert same(model.translator.state_dict(), average)
    getattr(hook, f"after_{phase}_epoch")(runner, {})
    assert same(model.translator.state_dict(), trained)
    assert same(averaged(hook), average)


def test_resuming_goes_on_with_the_same_average(tiny_gan):
    model = tiny_gan()
    hook, runner = started(model)
    list(train(model, 3, hook, runner))
    checkpoint = {"state_dict": model.state_dict()}
    hook.before_save_checkpoint(runner, checkpoint)
    checkpoint = plain(checkpoint)
    assert same(
        {k: v for k, v in checkpoint["state_dict"].items() if k.startswith("translator.")},
        {f"translator.{k}": v for k, v in model.translator.state_dict().items()},
    ), "the file's state_dict holds the trained weights"
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)

    other = tiny_gan()
    resumed, runner_2 = started(other, resume=True)
    loaded = torch.load(file, weights_only=True)
    resumed.after_load_checkpoint(runner_2, loaded)
    other.load_state_dict(loaded["state_dict"])
    assert same(averaged(resumed), averaged(hook))
    for trained, running, twin in ((model, hook, runner), (other, resumed, runner_2)):
        torch.manual_seed(3)
        list(train(trained, 2, running, twin))
    assert same(averaged(resumed), averaged(hook))


@pytest.mark.parametrize("settings", [{"resume": True}, {"train_loop": None}])
def test_a_checkpoint_without_average_cannot_be_resumed_or_tested(tiny_gan, settings):
    hook, runner = started(tiny_gan(), **settings)
    with pytest.raises(WeightsError, match="no 'ema_state_dict'.*remove EMAHook"):
        hook.after_load_checkpoint(runner, {"state_dict": {}})


def test_a_new_training_may_start_from_one(tiny_gan):
    model = tiny_gan()
    hook, runner = started(model)
    hook.after_load_checkpoint(runner, {"state_dict": {}})
    (state,) = train(model, 1, hook, runner)
    assert same(averaged(hook), state), "nothing is left of the weights before loading"


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_is_checked(decay):
    with pytest.raises(ConfigError, match=rf"decay is {decay}; allowed is 0 <= decay < 1"):
        EMAHook(decay)


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_that_overflows_is_not_averaged(tiny_gan, fused):
    """Fused optimisers are called by the scaler all the same, and leave the step out themselves."""
    model = tiny_gan()
    side = {"type": "AutocastOptimWrapper", "dtype": "float16", "loss_scale": 4.0,
            "optimizer": {"type": "Adam", "lr": 0.1, "fused": fused}}  # fmt: skip
    optim = GANOptimWrapperConstructor({"generator": side, "discriminator": side})(model)
    hook, runner = started(model)
    runner.optim_wrapper = optim
    hook.before_train(runner)
    weight = model.translator.generator.last.bias
    before, seen = weight.detach().clone(), []
    for factor in (1.0, float("inf"), 1.0):
        optim["generator"].update_params(weight.sum() * factor)
        hook.after_train_iter(runner, 0)
        seen.append((hook.updates, hook.average["generator.last.bias"].clone()))
    assert [updates for updates, _ in seen] == [1, 1, 2]
    torch.testing.assert_close(seen[0][1], before - 0.1)
    assert torch.equal(seen[1][1], seen[0][1])
    torch.testing.assert_close(seen[2][1], 0.75 * seen[0][1] + 0.25 * weight)
