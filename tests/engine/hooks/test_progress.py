from types import SimpleNamespace

import pytest
import torch

from mcltoolkit.engine.hooks import ProgressBarHook, ProgressHook


@pytest.mark.parametrize(
    ("step", "margin"), [(0, 0.0), (40, 0.0), (55, 0.125), (70, 0.25), (99, 0.25)]
)
def test_the_share_of_training_done_drives_the_margin(tiny_gan, scenes, monkeypatch, step, margin):
    used = []

    def spy(anchor, positive, temperature, margin, *more):
        used.append(margin)
        return anchor.sum()

    monkeypatch.setattr("mcltoolkit.losses.marginal.marginal_contrastive", spy)
    schedule = {"begin": 0.4, "end": 0.7}
    model = tiny_gan(
        {"model.losses.mcl.margin_schedule": schedule, "model.losses.mcl.margin": 0.25}
    )
    runner = SimpleNamespace(model=model, iter=step, max_iters=100)
    ProgressHook().before_train_iter(runner, step)
    model.generator_losses(scenes(1).with_one_hot(6))
    assert used == pytest.approx([margin])


def test_progress_is_set_before_every_other_hook_runs():
    assert ProgressHook.priority == "VERY_HIGH"


def bar_after(start, steps, **settings):
    hook = ProgressBarHook(**settings)
    runner = SimpleNamespace(iter=start, max_iters=50)
    hook.before_train(runner)
    for step in range(start, start + steps):
        outputs = {"loss": torch.tensor(step / 10), "loss_cyc": torch.tensor(2.0)}
        hook.after_train_iter(runner, step, outputs=outputs)
    return hook, runner


def test_the_bar_counts_from_where_training_resumes(capsys):
    hook, runner = bar_after(20, 6, title="learning", show=("loss", "loss_cyc", "absent"))
    (task,) = hook.bar.tasks
    assert (task.completed, task.total) == (26, 50)
    assert task.fields["values"] == "loss 2.000 loss_cyc 2.000"
    bar = hook.bar
    hook.after_train(runner)
    assert hook.bar is None
    assert not bar.live.is_started
    assert "learning" in capsys.readouterr().out


def test_other_ranks_show_no_bar(monkeypatch, capsys):
    monkeypatch.setattr("mcltoolkit.engine.hooks.progress.is_main_process", lambda: False)
    hook, runner = bar_after(0, 3)
    hook.after_train(runner)
    assert capsys.readouterr().out == ""
