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
    for case, rng in cases(70, "models"):
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
    judge.done(at_least=25)


def test_whole_trainings(plain, tmp_path, judge, cases):
    parts = ["train_cfg", "val_cfg", "default_hooks", "custom_hooks", "param_scheduler",
             "optim_wrapper", "randomness", "env_cfg", "log_processor", "visualizer",
             "val_evaluator", "val_dataloader", "train_dataloader"]  # fmt: skip
    for case, rng in cases(6, "trainings"):
        content = copy.deepcopy(plain)
        changed = mutate(content, rng, [p for p in parts if content.get(p)])
        for name in ("train_dataloader", "val_dataloader"):
            if isinstance(content[name], dict) and content[name].get("num_workers") in (1, 7):
                content[name]["num_workers"] = 0
        content["work_dir"] = str(tmp_path / case)
        judge(f"{case} {changed}", lambda c=content: train(Config(c)))
    judge.done(at_least=1)


FILES = {
    "py": "_base_ = 'mcltoolkit::_base_/runtime.py'\ntrain_cfg = dict(max_iters=3)\nmodel = {}\n",
    "yaml": "_base_: mcltoolkit::_base_/runtime.py\ntrain_cfg: {iters: 3}\nmodel: {vgg: null}\n",
    "json": '{"_base_": "mcltoolkit::_base_/runtime.py", "model": {}, "a": [1, {"b": 2}]}',
}
KEYS = (
    "model", "model.generator", "model.generator.base_width", "train_cfg.max_iters", "_base_",
    "optim_wrapper", "model.losses.mcl", "custom_hooks.0.type", "custom_hooks.99", "", ".", "a..b",
    "plugins", "default_scope", "work_dir", "train_dataloader.dataset.type",
)  # fmt: skip


def test_broken_files_and_options(tmp_path, judge, cases, spoiled_text):
    for case, rng in cases(400, "files"):
        suffix = rng.choice(list(FILES))
        path = tmp_path / f"config.{suffix}"
        path.write_bytes(spoiled_text(FILES[suffix], rng))
        options = None
        if rng.random() < 0.5:
            path.write_text(FILES[suffix])
            options = {rng.choice(KEYS): copy.deepcopy(rng.choice(VALUES))}
        work_dir = str(tmp_path / "work")
        judge(
            f"{case} {options}",
            lambda p=path, o=options, w=work_dir: load_config(p, o, work_dir=w),
        )
    judge.done(at_least=150)


def test_full_size_configs_on_no_device(judge, cases, root):
    """Full configs are built without memory for their weights; vgg and data are left out."""
    from mcltoolkit.engine.explain import explain

    names = (
        "mclnet_ade20k",
        "cocosnet_celebahq_edge",
        "mclnet_deepfashion",
        "mclnet_celebahq_mask",
    )
    for case, rng in cases(8, "full"):
        name = rng.choice(names)
        content = load_config(root / "configs" / f"{name}.py").to_dict()
        content = {"model": content["model"]}
        path = rng.choice([p for p in places(content) if len(p) > 2])
        value = rng.choice([v for v in VALUES if not isinstance(v, float) or abs(v) < 1e9])
        option = {".".join(map(str, path)): copy.deepcopy(value)}
        judge(
            f"{case} {name} {option}",
            lambda n=name, o=option: explain(root / "configs" / f"{n}.py", o, (64, 64)),
        )
    judge.done(at_least=1)
