"""A config's training in words, for `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from torch import nn

from mcltoolkit.engine.optim import SIDES
from mcltoolkit.errors import ConfigError
from mcltoolkit.models.exemplar_gan import ExemplarGAN
from mcltoolkit.registry import (
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    Registry,
)


def training_lines(config: Config, model: ExemplarGAN) -> dict[str, str]:
    """Data sets, optimisers, schedule, length, metrics and hooks, a line each by name.

    Raises:
        ConfigError: a component without a type.
        UnknownComponentError: a component that no plugin registered.
    """
    lines = {}
    for name, loader in (("training", "train"), ("validation", "val"), ("test", "test")):
        if settings := config.get(f"{loader}_dataloader"):
            batch = f"batches of {settings.get('batch_size', 1)} a process"
            dataset = _describe(settings.get("dataset") or {}, DATASETS, "split")
            lines[f"{name} data"] = f"{dataset}, {batch}"
    for side, children in SIDES.items():
        owners = [getattr(model, child) for child in children]
        count = sum(trained_numbers(owner) for owner in owners if owner is not None)
        settings = (config.get("optim_wrapper") or {}).get(side)
        if settings and count:
            optimiser = _describe(settings.get("optimizer") or {}, OPTIMIZERS)
            lines[f"{side} optimiser"] = f"{optimiser}, on {count:,} parameters"
        elif settings:
            lines[f"{side} optimiser"] = f"not used: there is no {side} to train"
    for name, key, registry in (
        ("rate", "param_scheduler", PARAM_SCHEDULERS),
        ("length", "train_cfg", LOOPS),
        ("metrics", "test_evaluator", METRICS),
        ("hooks", "custom_hooks", HOOKS),
    ):
        if listed := _listed(config.get(key)):
            lines[name] = "; ".join(_describe(settings, registry) for settings in listed)
    return lines


def _listed(settings: Any) -> list[Any]:
    """The components in a setting that the Runner takes as one, several, or several by name."""
    if not settings:
        return []
    if isinstance(settings, Mapping) and not {"type", "metrics"} & set(settings):
        return [one for named in settings.values() for one in _listed(named)]
    if isinstance(settings, Mapping):
        return _listed(settings["metrics"]) if "metrics" in settings else [settings]
    return list(settings)


def _describe(settings: Mapping[str, Any], registry: Registry, *only: str) -> str:
    """`Component (plugin): setting value, ...`."""
    kind = settings.get("type")
    if not isinstance(kind, str):
        raise ConfigError(
            f"{dict(settings)} is no {registry.name}: it needs a 'type', such as "
            f"dict(type={registry.example()!r})"
        )
    names = [name for name in settings if name != "type" and (not only or name in only)]
    said = ", ".join(f"{name} {settings[name]}" for name in names)
    return f"{kind} ({registry.origin(kind)})" + (f": {said}" if said else "")


def trained_numbers(module: nn.Module) -> int:
    """How many numbers of a module are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
