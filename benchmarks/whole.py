"""Whole models: the training step, the first translation, and further ones of one exemplar.

At full size as the configs have it, with random weights and random VGG features, and in series
over grid, batch and classes with a narrow model, so that the largest fits the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch.nn import functional

from benchmarks.cases import Case, Place, Work
from benchmarks.plain_model import plain_model
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.layout import lay_out
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.engine.recompute import recompute_activations
from mcltoolkit.models import ExemplarGAN
from mcltoolkit.registry import MODELS, build_component
from mcltoolkit.structures import Batch

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
FULL_SIZE = ("cocosnet_ade20k", "mclnet_ade20k")
FULL = (256, 151, 1)  # side of the image, classes, batch
GRIDS, BATCHES, CLASSES = (32, 64, 128, 256), (1, 2, 4, 8), (12, 50, 100, 151)
STRIDE = 4  # pixels of a grid cell
SERIES_CONFIG = "mclnet_ade20k"
CHECKPOINTED = {"activation_checkpointing": ["blocks"]}
# an eighth of the width everywhere
NARROW: Mapping[str, Any] = {
    "model.condition_encoder.base_width": 8,
    "model.image_encoder.base_width": 8,
    "model.condition_encoder.spade_hidden": 16,
    "model.image_encoder.spade_hidden": 16,
    "model.self_correlation.hidden": 32,
    "model.self_correlation.out_channels": 32,
    "model.correspondence.hidden": 32,
    "model.correspondence.embed": 32,
    "model.generator.base_width": 8,
    "model.generator.spade_hidden": 16,
    "model.discriminator.base_width": 8,
    "model.vgg.width_divisor": 8,
    "model.losses.mcl.hidden": 32,
}


def cases() -> Iterator[Case]:
    """All of them: full size, then the series."""
    for config in FULL_SIZE:
        step, first, further = (
            whole_case(f"{kind}/{config}", "whole", kind, config, FULL)
            for kind in ("step", "first", "further")
        )
        yield from (step, first, further)
        yield whole_case(
            f"step-checkpointed/{config}", "whole", "step", config, FULL, CHECKPOINTED,
            fast_gb=6.0, plain_gb=10.0,
        )  # fmt: skip
    for grid in GRIDS:
        yield _of_series("grid", grid, (grid * STRIDE, 12, 1), quick=grid == 32)
    for batch in BATCHES:
        yield _of_series("batch", batch, (128, 12, batch), quick=batch <= 2)
    for classes in CLASSES:
        yield _of_series("classes", classes, (128, classes, 1), quick=classes in (12, 151))


def _of_series(along: str, value: int, size: tuple[int, int, int], quick: bool) -> Case:
    n = (size[0] // STRIDE) ** 2
    return whole_case(
        f"narrow-step/{along}/{value}", "scaling", "step", SERIES_CONFIG, size, NARROW,
        series=("training step, narrow model", along, value), quick=quick,
        plain_gb=12 * 4 * n * n / 2**30, fast_gb=n * 3e-4,
    )  # fmt: skip


def whole_case(
    name: str,
    group: str,
    kind: str,
    config: str,
    size: tuple[int, int, int],
    options: Mapping[str, Any] = MappingProxyType({}),
    **further: Any,
) -> Case:
    """A case of a whole model.

    Args:
        kind: `step`, `first` or `further`.
        config: name or path.
        size: side of the image, classes, batch.
        options: dotted settings in place of the config's.
        further: of `Case`.
    """
    make = {"step": _step, "first": _first, "further": _further}[kind]

    def made(place: Place) -> Work:
        return make(place, build(config, size[1], options), size, load(config, size[1], options))

    setting = {"config": config, "size": size[0], "classes": size[1], "batch": size[2]}
    return Case(
        name, group, made, setting=setting, plainly=plain_model,
        **{"fast_gb": 0.0 if options else 8.0, "plain_gb": 0.0 if options else 10.0, **further},
    )  # fmt: skip


def load(config: str, classes: int, options: Mapping[str, Any]) -> Any:
    """The config, with random VGG features."""
    path = Path(config) if config.endswith(".py") else CONFIGS / f"{config}.py"
    changed = {"model.condition_channels": classes, **options}
    return load_config(path, changed, vgg_weights="random")


def build(config: str, classes: int, options: Mapping[str, Any]) -> ExemplarGAN:
    """The model of a config, with random weights."""
    settings = load(config, classes, options).model
    return build_component(MODELS, settings, "model")  # type: ignore[no-any-return]


def random_batch(seed: int, size: tuple[int, int, int]) -> Batch:
    """Noise for images, blocks of an eighth of the side for labels."""
    side, classes, count = size
    generator = torch.Generator().manual_seed(seed)

    def labels() -> torch.Tensor:
        coarse = torch.randint(0, classes, (count, 1, 8, 8), generator=generator).float()
        return functional.interpolate(coarse, size=(side, side))[:, 0].long()

    def image() -> torch.Tensor:
        return torch.rand(count, 3, side, side, generator=generator) * 2 - 1

    names = [f"sample {i}" for i in range(count)]
    return Batch(
        names=names, exemplar_names=names, labels=labels(), exemplar_labels=labels(),
        truth=image(), exemplar=image(), paired=torch.ones(count, dtype=torch.bool),
    )  # fmt: skip


def _step(place: Place, model: ExemplarGAN, size: tuple[int, int, int], config: Any) -> Work:
    """As a training does it, with the config's optimisers, layout and activation checkpointing."""
    model.to(place.device).train()
    lay_out(model, config.get("memory_format", "contiguous"))
    if config.get("activation_checkpointing"):
        recompute_activations(model, config.activation_checkpointing)
    settings = config.optim_wrapper.to_dict()
    settings.pop("constructor", None)
    if place.dtype != "float32":
        for side in settings.values():
            side.update(type="AutocastOptimWrapper", dtype=place.dtype)
    optimisers = GANOptimWrapperConstructor(settings)(model)
    batch = random_batch(0, size)

    def work() -> None:
        model.train_step(batch, optimisers)

    return work


def _first(place: Place, model: ExemplarGAN, size: tuple[int, int, int], config: Any) -> Work:
    model.to(place.device).eval()
    batch = random_batch(0, size)

    def work() -> torch.Tensor:
        with _autocast(place):
            return model.test_step(batch)[0].fake.abs().mean()

    return work


def _further(place: Place, model: ExemplarGAN, size: tuple[int, int, int], config: Any) -> Work:
    model.to(place.device).eval()
    batch = model.data_preprocessor(random_batch(0, size), False)
    translator = model.translator
    with torch.no_grad(), _autocast(place):
        side = translator.encode_exemplar(
            batch.exemplar, batch.given_exemplar_condition, batch.exemplar_labels
        )

    @torch.no_grad()
    def work() -> torch.Tensor:
        with _autocast(place):
            descriptors = translator.encode_condition(batch.given_condition)
            alignment = translator.align(batch, descriptors, side)
            return translator.paint(alignment, batch.given_condition).image.float().abs().mean()

    return work


def _autocast(place: Place) -> torch.autocast:
    kind, half = torch.device(place.device).type, place.dtype != "float32"
    return torch.autocast(kind, getattr(torch, place.dtype) if half else None, enabled=half)
