"""Interrupted and resumed equals uninterrupted, bit for bit."""

import os
import random
import signal

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.hooks import Hook
from torch import Tensor

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import train
from mcltoolkit.engine.runner import TranslationRunner
from mcltoolkit.engine.stopping import TrainingStopped
from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.testing.ranks import ranks

STEPS, LENGTH, BATCH = 5, 12, 2  # an epoch is 6 steps of one rank, 3 of two


class RestlessScenes(SyntheticScenes):
    """A foreign data set: it draws from the global generators, which only the loader resumes."""

    def __getitem__(self, draw):
        sample = super().__getitem__(draw)
        noise = random.random() + np.random.rand() + torch.rand(())
        sample.truth = (sample.truth + 0.05 * noise).clamp(-1, 1)
        return sample


def settings(work_dir, tiny, **options):
    config = load_config(
        tiny,
        {
            "train_cfg.max_iters": STEPS,
            "train_cfg.val_interval": 2,
            "train_dataloader.batch_size": BATCH,
            "train_dataloader.num_workers": 2,
            "train_dataloader.persistent_workers": True,
            "train_dataloader.dataset.length": LENGTH,
            "model.shift_truth": True,  # draws from torch's generator in each step
            "model.losses.mcl.positions": 16,
            "default_hooks.checkpoint.interval": 1,
            "default_hooks.checkpoint.max_keep_ckpts": -1,
            "custom_hooks": [dict(type="ProgressHook"), dict(type="EMAHook", decay=0.7)],
            "visualizer.vis_backends": [],
            "log_level": "ERROR",
            **options,
        },
        work_dir=str(work_dir),
        launcher="pytorch" if dist.is_initialized() else "none",
    )
    config.train_dataloader.dataset.type = f"{__name__}.RestlessScenes"
    return config


def run(work_dir, tiny, resume=False, **options):
    train(settings(work_dir, tiny, **options), resume=resume)


def differences(ours, theirs, where=""):
    """Names of all values in which two checkpoints differ, bit for bit."""
    if isinstance(ours, Tensor):
        same = isinstance(theirs, Tensor) and ours.dtype == theirs.dtype
        return [] if same and torch.equal(ours, theirs) else [where]
    if isinstance(ours, dict):
        if ours.keys() != theirs.keys():
            return [f"{where}: keys {sorted(map(str, ours.keys() ^ theirs.keys()))}"]
        return [d for k in ours for d in differences(ours[k], theirs[k], f"{where}.{k}")]
    if isinstance(ours, list | tuple):
        if len(ours) != len(theirs):
            return [f"{where}: lengths"]
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}.{i}")]
    return [] if ours == theirs else [f"{where}: {ours!r} != {theirs!r}"]


def compare(first, second):
    """Everything that a training goes on from; names, times and paths of the runs may differ."""
    pair = [torch.load(file, weights_only=True) for file in (first, second)]
    for checkpoint in pair:
        for key in ("time", "experiment_name"):
            del checkpoint["meta"][key]
        del checkpoint["config"]
        logs = checkpoint["message_hub"]["log_scalars"]
        for name in [n for n in logs if "time" in n or "memory" in n]:
            del logs[name]
        for info in ("runtime_info", "resumed_keys"):
            del checkpoint["message_hub"][info]
    assert pair[0]["random_states"], "states of the generators are in the file"
    assert pair[0]["ema_state_dict"], "the average is in the file"
    found = differences(*pair)
    assert not found, found[:20]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of one process with a checkpoint after each step."""
    from pathlib import Path

    tiny = Path(__file__).parents[1] / "configs" / "tiny_scenes.py"
    work = tmp_path_factory.mktemp("whole")
    run(work, tiny)
    return work


@pytest.mark.parametrize("step", [1, 4])
def test_one_process(whole, tiny_config, tmp_path, step):
    """Step 4 is followed by a validation, step 1 is not."""
    (tmp_path / f"iter_{step}.pth").write_bytes((whole / f"iter_{step}.pth").read_bytes())
    run(tmp_path, tiny_config, resume=True)
    for later in range(step + 1, STEPS + 1):
        compare(whole / f"iter_{later}.pth", tmp_path / f"iter_{later}.pth")


@pytest.mark.parametrize("start", [0, 4])
def test_prefetching_changes_nothing(whole, tiny_config, tmp_path, start):
    if start:
        (tmp_path / f"iter_{start}.pth").write_bytes((whole / f"iter_{start}.pth").read_bytes())
    run(tmp_path, tiny_config, resume=bool(start), **{"train_cfg.prefetch": True})
    for later in range(start + 1, STEPS + 1):
        compare(whole / f"iter_{later}.pth", tmp_path / f"iter_{later}.pth")


def test_states_of_the_data_and_of_the_generators_matter(whole, tiny_config, tmp_path):
    """The comparison above would notice if they were not restored."""
    for name in ("position", "random_states"):
        work = tmp_path / name
        work.mkdir()
        checkpoint = torch.load(whole / "iter_1.pth", weights_only=True)
        if name == "position":
            checkpoint["meta"]["position"]["samples"] = 4
        else:
            torch.manual_seed(99)
            checkpoint["random_states"][0]["torch"] = torch.get_rng_state()
        torch.save(checkpoint, work / "iter_1.pth")
        run(work, tiny_config, resume=True, **{"train_cfg.max_iters": 2})
        with pytest.raises(AssertionError):
            compare(whole / "iter_2.pth", work / "iter_2.pth")


class SignalAtOnce(Hook):
    def before_train(self, runner):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_before_the_first_resumed_step(whole, tiny_config, tmp_path):
    (tmp_path / "iter_2.pth").write_bytes((whole / "iter_2.pth").read_bytes())
    config = settings(tmp_path, tiny_config)
    config.custom_hooks.append(dict(type=f"{__name__}.SignalAtOnce"))
    with pytest.raises(TrainingStopped, match="after 2 of 5 steps"):
        train(config, resume=True)
    compare(whole / "iter_2.pth", tmp_path / "iter_2.pth")


class SignalHook(Hook):
    """The signal comes in the middle of the first validation."""

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.batches = getattr(self, "batches", 0) + 1
        if batch_idx == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_during_a_validation(whole, tiny_config, tmp_path, monkeypatch):
    config = settings(tmp_path, tiny_config)
    hook = SignalHook()
    register = TranslationRunner.register_hooks
    monkeypatch.setattr(
        TranslationRunner,
        "register_hooks",
        lambda self, *given: (register(self, *given), self.register_hook(hook)),
    )
    with pytest.raises(
        TrainingStopped, match=r"stopped by SIGTERM after 2 of 5 .*iter_2\.pth is"
    ) as s:
        train(config)
    assert s.value.status == 143
    assert hook.batches == 1, "of 2"
    compare(whole / "iter_2.pth", tmp_path / "iter_2.pth")
    assert torch.load(tmp_path / "iter_2.pth", weights_only=True)["meta"]["validation_due"]
    monkeypatch.undo()
    run(tmp_path, tiny_config, resume=True)
    compare(whole / "iter_5.pth", tmp_path / "iter_5.pth")


def on_two_ranks(folder, tiny, wrapper):
    whole, parts = folder / "whole", folder / "parts"
    run(whole, tiny, model_wrapper_cfg=wrapper)
    if dist.get_rank() == 0:
        parts.mkdir()
        # a newer one, which is broken, is passed over by all ranks
        for step, size in ((2, None), (4, 1000)):
            (parts / f"iter_{step}.pth").write_bytes(
                (whole / f"iter_{step}.pth").read_bytes()[:size]
            )
    dist.barrier()
    run(parts, tiny, resume=True, model_wrapper_cfg=wrapper)


@pytest.mark.parametrize("wrapper", [{}, {"type": "SeparateFSDP"}], ids=["DDP", "FSDP"])
def test_two_ranks(tiny_config, tmp_path, wrapper):
    """Step 2 lies inside the first epoch of 3 steps, and the run goes on into the second."""
    ranks().run(on_two_ranks, tmp_path, tiny_config, wrapper)
    for later in (3, 4, 5):
        compare(tmp_path / "whole" / f"iter_{later}.pth", tmp_path / "parts" / f"iter_{later}.pth")
    states = torch.load(tmp_path / "whole" / "iter_5.pth", weights_only=True)["random_states"]
    assert len(states) == 2


def go_on(folder, tiny, options):
    run(folder, tiny, resume=True, **options)


def test_another_number_of_ranks_goes_on_at_the_same_place(whole, tiny_config, tmp_path):
    (tmp_path / "iter_2.pth").write_bytes((whole / "iter_2.pth").read_bytes())
    ranks().run(go_on, tmp_path, tiny_config, {"train_dataloader.batch_size": BATCH // 2})
    place = torch.load(tmp_path / "iter_5.pth", weights_only=True)["meta"]
    expected = torch.load(whole / "iter_5.pth", weights_only=True)["meta"]
    for name in ("iter", "epoch", "position", "samples_a_step"):
        assert place[name] == expected[name], name
    assert place["position"] == {"epoch": 0, "samples": 5 * BATCH}
    assert place["world_size"] == 2


def test_a_training_of_epochs_refuses_another_number_of_samples(whole, tiny_config, tmp_path):
    (tmp_path / "iter_2.pth").write_bytes((whole / "iter_2.pth").read_bytes())
    config = settings(tmp_path, tiny_config, **{"train_dataloader.batch_size": 3})
    config.train_cfg.pop("max_iters")
    config.train_cfg.max_epochs = 2
    with pytest.raises(ConfigError, match="2 samples a step over all ranks, now there are 3"):
        train(config, resume=True)


def test_weights_alone_cannot_be_resumed(whole, tiny_config, tmp_path):
    state = torch.load(whole / "iter_2.pth", weights_only=True)["state_dict"]
    torch.save(state, tmp_path / "weights.pth")
    file = str(tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"lacks meta, optimizer, message_hub.*load_from="):
        train(settings(tmp_path, tiny_config), resume=file)


def test_auto_starts_where_there_is_nothing(tiny_config, tmp_path):
    options = {"train_cfg.max_iters": 1, "train_dataloader.num_workers": 0}
    options["train_dataloader.persistent_workers"] = False
    run(tmp_path, tiny_config, resume="auto", **options)
    assert (tmp_path / "iter_1.pth").exists()
    run(tmp_path, tiny_config, resume="auto", **{**options, "train_cfg.max_iters": 2})
    assert torch.load(tmp_path / "iter_2.pth", weights_only=True)["meta"]["iter"] == 2
