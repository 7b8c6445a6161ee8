import logging
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from mcltoolkit.cli import main
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.distributed import SeparateDDP
from mcltoolkit.engine.hooks import EMAHook, NonFiniteHook
from mcltoolkit.engine.incident import same_terms
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.engine.replay import replay
from mcltoolkit.engine.sharding import SeparateFSDP, local
from mcltoolkit.errors import ConfigError, NonFiniteError, WeightsError
from mcltoolkit.losses.base import AdversarialTerm, Loss
from mcltoolkit.registry import LOSSES, MODELS
from mcltoolkit.testing.ranks import ranks

BAD = "train_000001"


def factor(translation, bad):
    return bad if BAD in translation.batch.names else 1.0


class NaNForOne(Loss):
    def forward(self, translation):
        return translation.fake.mean() * factor(translation, float("nan"))


class RootOfZero(Loss):
    """A finite value, in part of chance, whose gradient is not finite."""

    def forward(self, translation):
        root = (translation.fake * factor(translation, 0.0)).square().sum().sqrt()
        return root + torch.rand(())


class Huge(Loss):
    def forward(self, translation):
        return translation.fake.mean() * 1e32


class NaNJudge(AdversarialTerm):
    def forward(self, translation):
        return translation.fake_pass.scales[0][-1].mean()

    def discriminator_loss(self, fake, real):
        return fake.scales[0][-1].mean() * float("nan")


@contextmanager
def registered():
    kinds = (NaNForOne, RootOfZero, Huge, NaNJudge)
    for kind in kinds:
        LOSSES.register_module(module=kind)
    try:
        yield
    finally:
        for kind in kinds:
            LOSSES._module_dict.pop(kind.__name__)


@pytest.fixture
def plugin(scenes):
    """Losses as a plugin would bring them, and the name of the sample that they stumble over."""
    assert scenes(2).names[1] == BAD
    with registered():
        yield BAD


@pytest.fixture
def config(tiny_config):
    return lambda **options: load_config(
        tiny_config, {f"model.{key}": value for key, value in options.items()}
    )


def started(cfg, folder, precise=None, wrapper=None, **settings):
    """What the Runner holds, with both hooks; a batch norm gives the buffers that averages need."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if wrapper is not None:
        model = wrapper(model)
    side = {"optimizer": {"type": "Adam", "lr": 1e-3}}
    if precise:
        side |= {"type": "AutocastOptimWrapper", **precise}
    wrappers = GANOptimWrapperConstructor({"generator": side, "discriminator": side})(model)
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=wrappers,
        cfg=cfg,
        work_dir=str(folder),
        iter=0,
        logger=logging.getLogger("test"),
        message_hub=MessageHub.get_instance("non-finite"),
    )
    hooks = [EMAHook(0.5), NonFiniteHook(**settings)]
    hooks[0].before_run(runner)
    hooks[0].before_train(runner)
    hooks[1].before_train(runner)
    return runner, hooks


def step(runner, hooks, batch):
    log = runner.model.train_step(batch, runner.optim_wrapper)
    for hook in hooks:
        hook.after_train_iter(runner, runner.iter, batch, log)
    runner.iter += 1
    return log


def state(runner, hooks):
    """Everything that a step may change, without the random generators."""
    found = {f"model.{k}": local(v).clone() for k, v in runner.model.state_dict().items()}
    for side, wrapper in runner.optim_wrapper.items():
        for index, values in wrapper.optimizer.state_dict()["state"].items():
            found |= {f"{side}.{index}.{k}": local(v).clone() for k, v in values.items()}
    found |= {f"average.{k}": local(v).clone() for k, v in hooks[0].average.items()}
    return found | {"updates": torch.tensor(hooks[0].updates)}


def differing(first, second):
    assert first.keys() == second.keys()
    return {name for name in first if not torch.equal(first[name], second[name])}


def batches(scenes):
    """Two batches of one sample each."""
    return [part(scenes(2), index) for index in range(2)]


def changed(before, runner, hooks):
    """Names of what differs from `before`; new moments do not count."""
    now = state(runner, hooks)
    return differing(before, {name: now[name] for name in before})


def part(batch, index):
    names = {n: getattr(batch, n)[index : index + 1] for n in ("names", "exemplar_names")}
    return replace(batch.map_tensors(lambda t: t[index : index + 1]), **names)


LOSS = {"bad": {"type": "NaNForOne", "weight": 1.0}}
ROOT = {"bad": {"type": "RootOfZero", "weight": 1.0}}
LARGE = {"bad": {"type": "Huge", "weight": 1.0}}
JUDGE = {"bad": {"type": "NaNJudge", "weight": 1.0}}


@pytest.mark.parametrize(
    ("losses", "cause", "where", "term"),
    [
        (LOSS, "module", "losses.terms.bad", None),
        (ROOT, "gradient", None, "bad"),
    ],
)
@pytest.mark.parametrize("precise", [None, {"dtype": "bfloat16"}])
def test_a_step_is_skipped_to_the_bit_and_can_be_replayed(
    config, plugin, scenes, tmp_path, losses, cause, where, term, precise, caplog
):
    cfg = config(**{"losses": losses, "generator.spade_norm": "bn"})
    runner, hooks = started(cfg, tmp_path, precise, policy="skip")
    good, bad = batches(scenes)
    log = step(runner, hooks, good)
    assert torch.isfinite(log["loss"])
    before = state(runner, hooks)
    assert any("running_var" in name for name in before)
    assert before["updates"] == 1
    caplog.clear()
    log = step(runner, hooks, bad)
    assert not differing(before, state(runner, hooks))
    assert "loss_bad" not in log or torch.isfinite(log["loss_bad"])
    assert runner.message_hub.get_scalar("train/skipped_steps").current() == 1
    dump = tmp_path / "nonfinite" / "iter_2_rank0.pth"
    assert plugin in caplog.text
    assert str(dump) in caplog.text
    again = replay(dump)
    assert again.same, str(again)
    assert again.recorded.cause == cause
    assert again.recorded.term == term
    assert again.dump["batch"]["names"] == [plugin] == bad.names
    if where:
        assert again.recorded.where == where
        assert again.terms["bad"].isnan()
        assert not again.dump["terms"]["adv"].isnan()
    else:
        assert torch.isfinite(again.terms["bad"])
        assert again.finding.operation in ("SqrtBackward0", "PowBackward0", "MulBackward0")
    # the model of the dump is as before the step: weights and buffers
    for name, value in again.dump["state_dict"].items():
        assert torch.equal(value, before[f"model.{name}"]), name
    assert "computed again" not in caplog.text, "the diagnosis starts from where the step did"
    step(runner, hooks, good)
    moved = changed(before, runner, hooks)
    parameters = {f"model.{name}" for name, _ in runner.model.named_parameters()}
    for part_moved in ("updates", "average."):
        assert any(name.startswith(part_moved) for name in moved)
    for child in ("translator", "discriminator"):
        assert any(name.startswith(f"model.{child}.") for name in moved & parameters)


def test_the_training_stops_by_default_and_nothing_is_poisoned(config, plugin, scenes, tmp_path):
    runner, hooks = started(config(losses=LOSS), tmp_path)
    good, bad = batches(scenes)
    step(runner, hooks, good)
    before = state(runner, hooks)
    with pytest.raises(
        NonFiniteError, match=r"(?s)step 2.*losses\.terms\.bad.*replay .*iter_2_rank0"
    ):
        step(runner, hooks, bad)
    assert not differing(before, state(runner, hooks))


def test_an_infinite_weight_is_found_in_its_module(config, scenes, tmp_path, capsys):
    runner, hooks = started(config(), tmp_path)
    name, module = next(
        (n, m)
        for n, m in runner.model.translator.generator.named_modules()
        if isinstance(m, torch.nn.Conv2d) and not hasattr(m, "parametrizations")
    )
    with torch.no_grad():
        module.weight.view(-1)[0] = float("inf")
    with pytest.raises(NonFiniteError):
        step(runner, hooks, batches(scenes)[0])
    dump = tmp_path / "nonfinite" / "iter_1_rank0.pth"
    again = replay(dump)
    assert again.same
    assert again.recorded.where == f"translator.generator.{name}"
    main(["replay", str(dump)])
    shown = capsys.readouterr().out
    assert f"translator.generator.{name}" in shown
    assert "the same as in the training" in shown


def test_a_discriminator_step_alone_is_skipped(config, plugin, scenes, tmp_path):
    runner, hooks = started(config(losses=JUDGE), tmp_path, policy="skip")
    before = state(runner, hooks)
    step(runner, hooks, batches(scenes)[0])
    moved = changed(before, runner, hooks)
    assert "updates" in moved, "the generator has made its step"
    parameters = {
        f"model.discriminator.{n}" for n, _ in runner.model.discriminator.named_parameters()
    }
    assert not moved & parameters
    assert not runner.optim_wrapper["discriminator"].optimizer.state_dict()["state"]
    again = replay(tmp_path / "nonfinite" / "iter_1_rank0.pth")
    assert again.same
    assert again.dump["side"] == "discriminator"
    assert again.recorded.cause == "loss"
    assert again.recorded.term == "bad"


def test_too_many_in_a_row_stop_the_training_and_dumps_have_a_limit(
    config, plugin, scenes, tmp_path
):
    runner, hooks = started(
        config(losses=LOSS), tmp_path, policy="skip", max_skipped=2, max_dumps=1
    )
    good, bad = batches(scenes)
    for batch in (bad, good, bad, bad):
        step(runner, hooks, batch)
    with pytest.raises(NonFiniteError, match="3 iterations in a row"):
        step(runner, hooks, bad)
    assert [p.name for p in (tmp_path / "nonfinite").iterdir()] == ["iter_1_rank0.pth"]


def test_large_gradients_whose_squares_overflow_are_no_incident(config, plugin, scenes, tmp_path):
    runner, hooks = started(config(losses=LARGE), tmp_path)
    seen = []
    for parameter in runner.model.translator.parameters():
        parameter.register_hook(lambda grad: seen.append((grad.norm(), grad.abs().max())))
    step(runner, hooks, batches(scenes)[0])
    assert any(norm == float("inf") for norm, _ in seen)
    assert all(largest < float("inf") for _, largest in seen)
    assert runner.optim_wrapper["generator"].optimizer.state_dict()["state"]
    assert hooks[1].skipped == 0


def test_infinite_gradients_of_a_scale_search_are_no_incident(config, scenes, tmp_path):
    runner, hooks = started(config(), tmp_path, {"dtype": "float16", "loss_scale": 2.0**127})
    before = state(runner, hooks)
    step(runner, hooks, batches(scenes)[0])
    parameters = {f"model.translator.{n}" for n, _ in runner.model.translator.named_parameters()}
    assert not parameters & changed(before, runner, hooks)
    assert hooks[1].skipped == 0
    assert not (tmp_path / "nonfinite").exists()
    assert runner.optim_wrapper["generator"].scaler.get_scale() == 2.0**126


def test_accumulated_steps_name_the_batch_that_is_to_blame(config, plugin, scenes, tmp_path):
    runner, hooks = started(config(losses=LOSS), tmp_path, policy="skip")
    for wrapper in runner.optim_wrapper.values():
        wrapper._accumulative_counts = 3
        wrapper.initialize_count_status(runner.model, 0, 6)
    good, bad = batches(scenes)
    before = state(runner, hooks)
    for batch in (good, bad, good):
        step(runner, hooks, batch)
    parameters = {f"model.{n}" for n, _ in runner.model.named_parameters()}
    assert not parameters & changed(before, runner, hooks)
    assert {wrapper._inner_count for wrapper in runner.optim_wrapper.values()} == {3}
    again = replay(tmp_path / "nonfinite" / "iter_3_rank0.pth")
    assert again.same
    assert again.dump["batch"]["names"] == bad.names
    for _ in range(3):
        step(runner, hooks, good)
    moved = changed(before, runner, hooks) & parameters
    assert any(".discriminator." in n for n in moved)
    assert any(".translator." in n for n in moved)


def on_rank(cfg, batch_of, folder, policy, sharded):
    """Two ranks, of which one gets a sample that is not finite."""
    with registered():
        return stepped_on_rank(cfg, batch_of, folder, policy, sharded)


def stepped_on_rank(cfg, batch_of, folder, policy, sharded):
    rank = torch.distributed.get_rank()

    def wrapper(model):
        return SeparateFSDP(model) if sharded else SeparateDDP(model, broadcast_buffers=False)

    runner, hooks = started(cfg, folder, wrapper=wrapper, policy=policy)
    before = state(runner, hooks)
    try:
        step(runner, hooks, batch_of[rank])
    except NonFiniteError as error:
        return str(error), set()
    return "", differing(before, state(runner, hooks))


@pytest.mark.parametrize(
    ("policy", "losses", "sharded"),
    [("stop", LOSS, False), ("skip", ROOT, False), ("skip", LOSS, True), ("stop", ROOT, True)],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="gloo ranks on CPU")
def test_ranks_decide_alike(config, plugin, scenes, tmp_path, policy, losses, sharded):
    cfg = config(losses=losses)
    found = ranks(2).run(on_rank, cfg, batches(scenes), tmp_path, policy, sharded)
    names = sorted(path.name for path in (tmp_path / "nonfinite").iterdir())
    assert names == ["iter_1_rank0.pth", "iter_1_rank1.pth"]
    clean, again = (replay(tmp_path / "nonfinite" / name) for name in names)
    assert clean.same
    assert clean.recorded.cause is None
    assert again.same
    assert again.dump["batch"]["names"] == [plugin]
    for text, moved in found:
        assert not moved
        assert policy == "skip" or ("rank 1: " in text and "rank 0: " not in text)


def test_foreign_files_and_settings_are_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="no dump of a non-finite step"):
        replay(tmp_path / "other.pth")
    torch.save({"format": "mcltoolkit non-finite step 1"}, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match="incomplete: side, "):
        replay(tmp_path / "part.pth")
    with pytest.raises(ConfigError, match="allowed are"):
        NonFiniteHook("ignore")
    with pytest.raises(ConfigError, match="max_dumps"):
        NonFiniteHook(max_dumps=-1)


def test_terms_agree_to_the_bit_only():
    nan, one = torch.tensor(float("nan")), torch.tensor(1.0)
    assert same_terms({"a": nan}, {"a": nan.clone()})
    assert not same_terms({"a": nan}, {"a": one})
    assert not same_terms({"a": one}, {"a": one + 2e-7})
    assert not same_terms({"a": one}, {"b": one})
