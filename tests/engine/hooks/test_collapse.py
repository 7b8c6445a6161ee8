import gc
import json
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from mcltoolkit.correspondence import CosineMatch
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks.collapse import LIMITS, Alarm, CollapseAlarmHook
from mcltoolkit.engine.launch import train
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.errors import ConfigError
from mcltoolkit.structures import Alignment, DiscriminatorPass, Translation


class Log:
    def __init__(self):
        self.warnings, self.infos = [], []

    def warning(self, text):
        self.warnings.append(text)

    def info(self, text):
        self.infos.append(text)


def run(hook, values, name="match_entropy", start=0):
    """The hook's log after training steps of which each finds one value."""
    model = SimpleNamespace(watchers=[])
    runner = SimpleNamespace(model=model, iter=0, logger=Log())
    for runner.iter, value in enumerate(values, start):
        hook.before_train_iter(runner, runner.iter)
        outputs = {f"alarm/{name}": torch.tensor(value)} if model.watchers else {}
        hook.after_train_iter(runner, runner.iter, outputs=outputs)
        assert model.watchers == []
    return runner.logger


def test_a_lasting_value_warns_once_and_again_only_after_recovery():
    hook = CollapseAlarmHook(interval=1, begin=4, patience=3)
    log = run(hook, [0.99] * 6)
    assert log.warnings == [], "4 steps at the start and 3 measurements"
    log = run(hook, [0.99] * 20, start=6)
    assert len(log.warnings) == 1
    text = log.warnings[0]
    for part in ("match_entropy is 0.99", "above 0.95", "since step 5", "correspondence.temper"):
        assert part in text
    log = run(hook, [0.93, 0.97] * 10, start=26)  # around the limit: still the same alarm
    assert (log.warnings, log.infos) == ([], [])
    log = run(hook, [0.5] * 3 + [0.99] * 5, start=46)
    assert len(log.infos) == 1
    assert "well again" in log.infos[0]
    assert len(log.warnings) == 1
    assert "since step 50" in log.warnings[0]


def test_small_values_warn_where_large_ones_are_good():
    hook = CollapseAlarmHook(interval=1, begin=0, patience=2)
    log = run(hook, [0.3, 0.3, 1 / 64, 1 / 64, 1 / 64], "match_coverage")
    assert len(log.warnings) == 1
    assert "match_coverage is 0.0156" in log.warnings[0]
    assert "below 0.02" in log.warnings[0]


def test_a_healthy_training_is_silent():
    hook = CollapseAlarmHook(interval=1, begin=0, patience=3)
    values = {
        "match_entropy": [0.6, 0.97, 0.5], "match_coverage": [0.2, 0.01, 0.3],
        "copied_outputs": [0.0, 1.0, 0.0], "discriminator_saturation": [0.5, 1.0, 0.9],
    }  # fmt: skip
    for name, found in values.items():
        log = run(hook, found * 5, name)
        assert (log.warnings, log.infos) == ([], [])


def test_values_that_are_not_finite_are_passed_over():
    hook = CollapseAlarmHook(interval=1, begin=0, patience=2)
    assert len(run(hook, [0.99, float("nan"), 0.99]).warnings) == 1


def test_only_due_steps_are_looked_at():
    hook = CollapseAlarmHook(interval=5, begin=0, patience=2)
    log = run(hook, [0.5, 0.5, 0.5, 0.5, 0.99] * 2)
    assert "since step 5)" in log.warnings[0]


def test_limits_are_settings():
    hook = CollapseAlarmHook(limits={"match_entropy": [0.8, 0.7], "match_coverage": None})
    assert (hook.alarms["match_entropy"].raised_at, "match_coverage" in hook.alarms) == (0.8, False)
    assert hook.alarms["copied_outputs"].raised_at == LIMITS["copied_outputs"][0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval": 0}, r"interval is 0; allowed are whole numbers of 1"),
        ({"patience": 2.5}, r"patience is 2.5"),
        ({"begin": -1}, r"begin is -1"),
        ({"limits": {"match_entrop": None}}, r"'match_entrop'.*match_entropy.*allowed are"),
        ({"limits": {"match_entropy": 0.9}}, r"match_entropy is 0.9; allowed are None, or two"),
        ({"limits": {"match_entropy": (0.8, 0.9)}}, r"first larger than second"),
        ({"limits": {"match_coverage": (0.2, 0.1)}}, r"first smaller than second"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        CollapseAlarmHook(**settings)


def translation(scenes, match=None, fake=None, score=None):
    batch = scenes(2, paired=torch.tensor([False, False]))
    score = None if score is None else torch.full((2, 1, 3, 3), score)
    return Translation(
        batch,
        Alignment(match, batch.exemplar),
        batch.truth if fake == "truth" else batch.exemplar,
        fake_pass=None if score is None else DiscriminatorPass([[-score]]),
        real_pass=None if score is None else DiscriminatorPass([[score]]),
    )


def measured(made, margins=(-1.0, 1.0)):
    hook = CollapseAlarmHook()
    hook.margins = margins
    return {k.removeprefix("alarm/"): float(v) for k, v in hook.measure(made).items()}


def test_collapsed_trainings_have_known_values(scenes):
    zeros, one = torch.zeros(2, 3, 64), torch.zeros(2, 3, 64)
    one[:, 0, 5] = 1.0
    queries = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1).expand(2, 3, 64)
    uniform = CosineMatch(zeros, zeros, (8, 8), (8, 8))
    single = CosineMatch(queries, one, (8, 8), (8, 8))
    found = measured(translation(scenes, uniform, score=2.0))
    assert found["match_entropy"] == pytest.approx(1)
    assert found["copied_outputs"] == 1
    assert found["discriminator_saturation"] == 1
    found = measured(translation(scenes, single, "truth", score=0.5))
    assert found["match_entropy"] == pytest.approx(0, abs=1e-5)
    assert found["match_coverage"] == pytest.approx(1 / 64)
    assert found["copied_outputs"] == 0
    assert found["discriminator_saturation"] == 0
    assert (
        measured(translation(scenes, single, score=0.95), (0.1, 0.9))["discriminator_saturation"]
        == 1
    )


def test_what_is_not_there_is_not_measured(scenes):
    assert set(measured(translation(scenes))) == {"copied_outputs"}
    made = translation(scenes, score=2.0)
    assert set(measured(made, None)) == {"copied_outputs"}
    assert measured(replace(made, batch=made.batch.as_paired()), None) == {}


class Large:
    """A match of more positions than are measured as they are; each takes the one at its place."""

    grid = exemplar_grid = (129, 129)

    def probabilities(self, rows):
        weights = torch.zeros(2, len(rows), 129 * 129)
        weights[:, torch.arange(len(rows)), rows] = 1
        return weights


def test_a_large_match_is_measured_on_blocks(scenes):
    found = measured(translation(scenes, Large()))
    assert found["match_entropy"] == pytest.approx(0, abs=1e-6)
    assert found["match_coverage"] == 1


@pytest.mark.parametrize("precision", ["OptimWrapper", "AutocastOptimWrapper"])
def test_a_step_is_watched_without_keeping_its_graph(tiny_gan, scenes, precision):
    model = tiny_gan().train()
    side = {"type": precision, "optimizer": {"type": "SGD", "lr": 1e-3}}
    sides = {name: dict(side) for name in ("generator", "discriminator")}
    optim = GANOptimWrapperConstructor(sides)(model)
    hook = CollapseAlarmHook(interval=2)
    runner = SimpleNamespace(model=model, iter=0, logger=Log())
    hook.before_train(runner)
    assert hook.margins == (-1.0, 1.0)
    seen, grads = [], []

    def spy(made):
        grads.append(torch.is_grad_enabled())
        seen.append(weakref.ref(made.fake))
        return {}

    for runner.iter in range(2):
        hook.before_train_iter(runner, runner.iter)
        model.watchers.append(spy)
        log = model.train_step(scenes(2, paired=torch.tensor([False, True])), optim)
        hook.after_train_iter(runner, runner.iter, outputs=log)
        model.watchers.remove(spy)
        found = {name for name in log if name.startswith("alarm/")}
        assert found == ({f"alarm/{name}" for name in LIMITS} if runner.iter else set())
        assert not any(value.requires_grad for value in log.values())
    gc.collect()
    assert grads == [False, False]
    assert all(reference() is None for reference in seen)


def test_a_training_logs_the_scalars(tmp_path, tiny_config):
    config = load_config(
        tiny_config,
        {
            "train_cfg.max_iters": 4, "val_dataloader": None, "val_cfg": None,
            "val_evaluator": None, "log_level": "ERROR",
            "model.losses.adv": None, "model.losses.feature_matching": None,
            "custom_hooks": [dict(type="CollapseAlarmHook", interval=2)],
            "default_hooks.logger.interval": 2,
        },
        work_dir=str(tmp_path),
    )  # fmt: skip
    train(config)
    (file,) = tmp_path.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    for line in lines:
        assert 0 < line["alarm/match_entropy"] <= 1
        assert 0 < line["alarm/match_coverage"] <= 1
        assert "alarm/discriminator_saturation" not in line


def test_the_alarm_by_itself():
    alarm = Alarm(0.5, 0.25, patience=2)
    assert [alarm.take(i, v) for i, v in enumerate([1, 1, 0.3, 0.3, 0.1, 1, 0.9])] == [
        None, True, None, None, False, True, None
    ]  # fmt: skip
