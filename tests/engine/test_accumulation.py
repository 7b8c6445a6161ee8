"""Windows of small batches against one large batch."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.distributed import SeparateDDP
from mcltoolkit.engine.hooks import EMAHook
from mcltoolkit.engine.launch import train
from mcltoolkit.engine.optim import GANOptimWrapperConstructor, in_accumulation
from mcltoolkit.engine.sharding import SeparateFSDP
from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import MODELS
from mcltoolkit.testing.ranks import ranks

CONFIG = Path(__file__).parents[1] / "configs" / "tiny_scenes.py"
PARTS = ("condition_encoder", "image_encoder", "generator", "discriminator")
SIDES = ("generator", "discriminator")


def in_double(module, arguments, batch):
    return batch.map_tensors(lambda t: t.double() if t.is_floating_point() else t)


def build():
    """In float64, without spectral norm, of which each pass takes an iteration; the norms of the
    tiny scenes know no other sample. The published initial gain and temperature would amplify
    rounding errors."""
    torch.manual_seed(0)
    gains = {f"model.{part}.init_gain": 1.0 for part in PARTS}
    settings = load_config(CONFIG, {**gains, "model.correspondence.temperature": 1.0})
    model = MODELS.build(settings.model).double().train()
    for module in model.modules():
        if is_parametrized(module):
            remove_parametrizations(module, "weight")
    model.data_preprocessor.register_forward_hook(in_double)
    return model


def optimisers(model, counts, lr=0.01, **settings):
    side = {"optimizer": {"type": "SGD", "lr": lr}, "accumulative_counts": counts, **settings}
    return GANOptimWrapperConstructor({name: dict(side) for name in SIDES})(model)


def part(batch, start, stop):
    names = {n: getattr(batch, n)[start:stop] for n in ("names", "exemplar_names")}
    return replace(batch.map_tensors(lambda t: t[start:stop]), **names)


def values(model):
    whole = {n: p.full_tensor() if hasattr(p, "full_tensor") else p
             for n, p in model.named_parameters()}  # fmt: skip
    return {n.replace(".module.", "."): p.detach().clone() for n, p in whole.items()}


def largest(ours, theirs):
    assert ours.keys() == theirs.keys()
    return max(float((ours[n].view(-1) - theirs[n].view(-1)).abs().max()) for n in ours)


def test_a_window_of_batches_moves_the_weights_as_one_large_batch_does(scenes):
    batch = scenes(6, paired=torch.tensor([True, False] * 3))
    found = []
    for counts, size in ((1, 6), (3, 2)):
        model = build()
        start, optim = values(model), optimisers(model, counts)
        for first in range(0, 6, size):
            model.train_step(part(batch, first, first + size), optim)
            assert in_accumulation(optim) == (first + size < 6)
            assert in_accumulation(optim) == (largest(values(model), start) == 0)
        found.append(values(model))
    moved = largest(found[0], start)
    assert moved > 1e-4
    assert largest(*found) <= 1e-10 * moved
    for side in SIDES:
        child = "translator" if side == "generator" else side
        assert any(n.startswith(child) and (found[1][n] - start[n]).abs().max() > 1e-6
                   for n in start), side  # fmt: skip


def test_a_shorter_last_window_counts_fully():
    """Five batches, windows of three: the mean of 1, 2, 3, then the mean of 4, 5."""
    weight = nn.Parameter(torch.zeros(()))
    model = SimpleNamespace(translator=nn.ParameterList([weight]))
    optim = optimisers(model, 3, lr=1.0)
    optim.initialize_count_status(nn.Module(), 0, 5)
    seen = []
    for slope in (1.0, 2.0, 3.0, 4.0, 5.0):
        optim["generator"].update_params(slope * weight)
        seen.append((float(weight.detach()), in_accumulation(optim)))
    assert [waits for _, waits in seen] == [True, True, False, True, False]
    assert [w for w, _ in seen] == pytest.approx([0, 0, -2, -2, -6.5])


def test_a_training_cannot_resume_inside_a_window():
    optim = optimisers(SimpleNamespace(translator=nn.Linear(1, 1)), 4)
    optim.initialize_count_status(nn.Module(), 8, 10)
    with pytest.raises(ConfigError, match=r"after batch 6, inside a window of.*=4.*multiple of 4"):
        optim.initialize_count_status(nn.Module(), 6, 10)


@pytest.mark.parametrize("counts", [0, -1, 1.5, "two", True])
def test_counts_are_checked(counts):
    with pytest.raises(ConfigError, match="accumulative_counts|_accumulative_counts"):
        optimisers(SimpleNamespace(translator=nn.Linear(1, 1)), counts)


def test_different_counts_are_refused():
    model = SimpleNamespace(translator=nn.Linear(1, 1), discriminator=nn.Linear(1, 1))
    sides = {n: {"optimizer": {"type": "SGD", "lr": 1.0}, "accumulative_counts": c}
             for n, c in zip(SIDES, (2, 3), strict=True)}  # fmt: skip
    with pytest.raises(ConfigError, match=r"'generator': 2, 'discriminator': 3.*set the same"):
        GANOptimWrapperConstructor(sides)(model)


@contextmanager
def exchanges(model):
    """Counts of gradient exchanges, by child; those of a sharded model under one name."""
    counted = Counter()
    if isinstance(model, SeparateDDP):
        for name, child in model.module.named_children():
            if hasattr(child, "register_comm_hook"):
                child.register_comm_hook(name, lambda name, bucket: counting(name, bucket))

    def counting(name, bucket):
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        counted[name] += 1
        return allreduce_hook(None, bucket)

    def counted_too(function):
        def reduce_scatter(*args, **kwargs):
            counted["shards"] += 1
            return function(*args, **kwargs)

        return reduce_scatter

    with pytest.MonkeyPatch.context() as patch:
        for name in ("reduce_scatter_tensor", "reduce_scatter_single"):  # older and newer torch
            if hasattr(torch.distributed, name):
                patch.setattr(
                    torch.distributed, name, counted_too(getattr(torch.distributed, name))
                )
        yield counted


def accumulate_as_rank(wrapper, counts, batch):
    rank = torch.distributed.get_rank()
    kind = {"ddp": lambda m: SeparateDDP(m, device_ids=None), "fsdp": SeparateFSDP}[wrapper]
    model = kind(build())
    optim = optimisers(model, counts)
    seen = []
    with exchanges(model) as counted:
        for first in range(0, len(batch), 2):
            model.train_step(part(batch, first + rank, first + rank + 1), optim)
            seen.append(dict(counted))
            counted.clear()
    inner = getattr(model, "module", model)
    return seen, values(inner)


@pytest.mark.skipif(torch.cuda.is_available(), reason="gloo ranks on CPU")
@pytest.mark.parametrize("wrapper", ["ddp", "fsdp"])
def test_ranks_exchange_gradients_once_a_window(wrapper, scenes):
    batch = scenes(8, paired=torch.tensor([True] * 8))
    alone = build()
    start, optim = values(alone), optimisers(alone, 1)
    for first in (0, 4):
        alone.train_step(part(batch, first, first + 4), optim)
    expected = values(alone)
    for seen, found in ranks(2).run(accumulate_as_rank, wrapper, 2, batch):
        assert seen[0] == seen[2] == {}, "nothing is exchanged inside a window"
        if wrapper == "ddp":
            assert all(set(seen[i]) == {"translator", "losses", "discriminator"} for i in (1, 3))
        else:
            assert seen[1]["shards"] > 2
        assert largest(found, expected) <= 1e-10 * largest(expected, start)


def test_the_average_takes_in_new_weights_alone(tiny_gan, scenes):
    model = tiny_gan().train()
    optim = optimisers(model, 2, lr=1e-3)
    hook, runner = EMAHook(0.5), SimpleNamespace(model=model, optim_wrapper=optim)
    hook.before_run(runner)
    hook.before_train(runner)
    seen, taken = [], []
    for step in range(4):
        model.train_step(scenes(), optim)
        hook.after_train_iter(runner, step)
        seen.append({n: p.detach().clone() for n, p in model.translator.named_parameters()})
        taken.append(hook.updates)
    hook.after_train(runner)
    assert taken == [0, 1, 1, 2]
    for name in seen[0]:
        torch.testing.assert_close(hook.average[name], (seen[1][name] + seen[3][name]) / 2)


def test_a_training_accumulates_by_config_to_its_last_batch(tmp_path):
    """Five batches in windows of two: steps after 2, 4 and 5."""
    config = load_config(
        CONFIG,
        {
            **{f"optim_wrapper.{side}.accumulative_counts": 2 for side in SIDES},
            "train_cfg.max_iters": 5, "val_dataloader": None, "val_cfg": None,
            "val_evaluator": None, "log_level": "ERROR", "default_hooks.checkpoint.interval": 1,
            "custom_hooks": [dict(type="EMAHook")],
        },
        work_dir=str(tmp_path),
    )  # fmt: skip
    config.default_hooks.checkpoint.max_keep_ckpts = -1
    with pytest.raises(ConfigError, match=r"checkpoint.interval is 1, .* every 2 batches"):
        train(config)
    config.default_hooks.checkpoint.interval = 2
    train(config)
    assert sorted(p.name for p in tmp_path.glob("*.pth")) == [f"iter_{i}.pth" for i in (2, 4, 5)]
    states = [torch.load(tmp_path / f"iter_{i}.pth", weights_only=True) for i in (2, 4, 5)]
    key = next(n for n in states[0]["state_dict"] if n.startswith("translator.generator"))
    weights = [state["state_dict"][key] for state in states]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2]), "a shorter last window counts"
    assert [int(s["ema_state_dict"]["n_averaged"]) for s in states] == [1, 2, 3]
