"""Configs with settings taken out, misspelt, or of another kind.

What the main job does with a config is done with each: build the data loader and read a batch,
build the model and run one step of both sides, build the optimisers; some go through the whole
training.
"""

import copy
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import train
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.engine.runner import TranslationRunner
from mcltoolkit.registry import MODELS, build_component

VALUES = (
    None, -1, 0, 1, 7, 1e30, -1e30, 0.5, "", "x", "1", [], {}, [1], ["x"], {"type": "Adam"},
    {"a": 1}, True, False, math.nan, math.inf, (1, 2, 3), {"type": None}, {"type": "Nothing"},
)  # fmt: skip
QUIET = {
    "vis_backends": [],
    "visualizer.vis_backends": [],
    "log_level": "CRITICAL",
    "train_cfg.max_iters": 1,
    "default_hooks.checkpoint": None,
}


@pytest.fixture(scope="module")
def plain():
    """The tiny main job as plain data."""
    from pathlib import Path

    config = load_config(Path(__file__).parents[1] / "configs" / "tiny_scenes.py", QUIET)
    content = config.to_dict()
    content["model"]["generator"]["ups"] = 2
    return content


def build_optimizers(settings, model):
    """As mmengine's Runner does, whose builder needs a whole runner."""
    settings = dict(settings)
    settings.pop("constructor", None)
    return GANOptimWrapperConstructor(settings)(model)


def places(node, path=()):
    """Paths to everything inside dicts and lists."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def mutate(content, rng, within):
    """One setting changed; returns what was done, in words."""
    path = rng.choice([p for p in places({k: content[k] for k in within}) if len(p) > 1])
    node = content
    for key in path[:-1]:
        node = node[key]
    key, shown = path[-1], ".".join(map(str, path))
    how = rng.randrange(10)
    if how == 0:
        del node[key]
        return f"{shown} removed"
    if how == 1 and isinstance(node, dict):
        node[f"{key}s"] = node.pop(key)
        return f"{shown} misspelt"
    if how == 2 and isinstance(node, dict):
        node["stranger"] = rng.choice(VALUES)
        return f"stranger beside {shown}"
    node[key] = copy.deepcopy(rng.choice(VALUES))
    return f"{shown}={node[key]!r}"


def test_data_loaders(plain, judge, cases):
    for case, rng in cases(500, "loaders"):
        content = copy.deepcopy({"train_dataloader": plain["train_dataloader"]})
        changed = mutate(content, rng, ["train_dataloader"])

        def run(settings=content["train_dataloader"]):
            if isinstance(settings, dict) and settings.get("num_workers") in (1, 7, True):
                settings["num_workers"] = 0  # as processes cost time
            for batch in TranslationRunner.build_dataloader(Config({"d": settings}).d, seed=0):
                batch.check(6)
                break

        judge(f"{case} {changed}", run)
    judge.done(at_least=150)


def test_models_and_optimisers(plain, scenes, judge, cases):
    batch = scenes(count=2)
    for case, rng in cases(250, "models"):
        content = copy.deepcopy({k: plain[k] for k in ("model", "optim_wrapper")})
        changed = mutate(content, rng, rng.choice((["model"], ["model"], ["optim_wrapper"])))

        def run(content=content):
            config = Config(content)
            model = build_component(MODELS, config.model, "model")
            optimizers = build_optimizers(config.optim_wrapper, model)
            model.train_step(batch, optimizers)

        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope("mcltoolkit"):
            judge(f"{case} {changed}", run)
    judge.done(at_least=100)


def test_whole_trainings(plain, tmp_path, judge, cases):
    parts = ["train_cfg", "val_cfg", "default_hooks", "custom_hooks", "param_scheduler",
             "optim_wrapper", "randomness", "env_cfg", "log_processor", "visualizer",
             "val_evaluator", "val_dataloader", "train_dataloader"]  # fmt: skip
    for case, rng in cases(12, "trainings"):
        content = copy.deepcopy(plain)
        changed = mutate(content, rng, [p for p in parts if content.get(p)])
        for name in ("train_dataloader", "val_dataloader"):
            if isinstance(content[name], dict) and content[name].get("num_workers") in (1, 7):
                content[name]["num_workers"] = 0
        content["work_dir"] = str(tmp_path / case)
        judge(f"{case} {changed}", lambda c=content: train(Config(c)))
    judge.done(at_least=1)
