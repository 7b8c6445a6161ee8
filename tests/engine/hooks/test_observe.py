import sys

import pytest
import torch

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks.observe import ObserverHook, observer_hook
from mcltoolkit.engine.launch import test as run_test
from mcltoolkit.engine.launch import train
from mcltoolkit.plugins import PluginWarning

WATCHER = """
    steps, evaluations = [], []

    @hookimpl
    def observe_step(step, losses, work_dir):
        assert not any(value.requires_grad for value in losses.values())
        steps.append((step, {name: float(value) for name, value in losses.items()}, work_dir))
        losses.clear()

    @hookimpl
    def observe_evaluation(metrics, stage, step, work_dir):
        evaluations.append((step, stage, metrics, work_dir))
"""
BROKEN = """
    calls = []

    @hookimpl
    def observe_step(step):
        calls.append(step)
        if step == 2:
            raise ValueError("no luck")
"""


@pytest.fixture
def config(tiny_config, tmp_path):
    options = {
        "train_cfg.max_iters": 3,
        "train_cfg.val_interval": 2,
        "default_hooks.checkpoint.interval": 3,
        "custom_hooks": [],
        "log_level": "ERROR",
    }
    return load_config(tiny_config, options, work_dir=str(tmp_path / "work"))


def test_plugins_see_steps_and_evaluations(load_plugin, config, tmp_path):
    assert observer_hook() is None, "without a plugin it costs nothing"
    load_plugin("watcher", WATCHER)
    runner = train(config)
    assert sum(isinstance(hook, ObserverHook) for hook in runner.hooks) == 1
    watcher = sys.modules["watcher"]
    assert [step for step, _, _ in watcher.steps] == [1, 2, 3]
    step, losses, folder = watcher.steps[-1]
    assert folder == tmp_path / "work"
    history, _ = runner.message_hub.get_scalar("train/loss").data
    assert losses["loss"] == pytest.approx(history[-1])
    parts = [v for name, v in losses.items() if name.startswith("loss_") and "_d_" not in name]
    assert sum(parts) == pytest.approx(losses["loss"], rel=1e-5)
    assert [(step, stage) for step, stage, _, _ in watcher.evaluations] == [(2, "val"), (3, "val")]

    metrics = run_test(config, str(tmp_path / "work" / "iter_3.pth"))
    step, stage, seen, folder = watcher.evaluations[-1]
    assert (step, stage) == (3, "test")
    assert seen == metrics
    assert folder.is_relative_to(tmp_path / "work" / "test")


def test_steps_of_a_training_that_starts_from_another_ones_weights(load_plugin, config, tmp_path):
    train(config)
    load_plugin("watcher", WATCHER)
    config.load_from = str(tmp_path / "work" / "iter_3.pth")
    config.train_cfg.max_iters = 2
    train(config)
    watcher = sys.modules["watcher"]
    assert [step for step, _, _ in watcher.steps] == [1, 2]
    assert [(step, stage) for step, stage, _, _ in watcher.evaluations] == [(2, "val")]


def test_a_failing_observer_is_reported_once_and_training_goes_on(load_plugin, config, recwarn):
    load_plugin("watcher", WATCHER)
    file = load_plugin("broken", BROKEN)
    runner = train(config)
    assert runner.iter == 3
    assert sys.modules["broken"].calls == [1, 2]
    assert len(sys.modules["watcher"].steps) == 3
    (warned,) = (w for w in recwarn if w.category is PluginWarning)
    line = str(warned.message)
    assert f"plugin 'broken' (config, {file}:9): its observe_step raised ValueError: no" in line
    assert "take it out of the config's `plugins`" in line
    assert torch.isfinite(next(runner.model.parameters())).all()
