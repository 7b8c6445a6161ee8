"""A translator from a checkpoint alone: the config that it carries builds the networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mcltoolkit.data.picture_size import LOADERS
from mcltoolkit.engine.files import load_plain
from mcltoolkit.engine.hooks.ema import KEY as AVERAGE
from mcltoolkit.errors import ConfigError, ToolkitError, WeightsError, described
from mcltoolkit.inference.model import TranslationModel, names_and_colours
from mcltoolkit.inference.settings import inference_settings
from mcltoolkit.layers import fold_parametrizations
from mcltoolkit.models.translator import TRANSLATOR_SETTINGS, Translator
from mcltoolkit.plugins import load_plugins


def load_model(
    checkpoint: str | Path,
    device: torch.device | str | None = None,
    plugins: Sequence[str] = (),
) -> TranslationModel:
    """The model of a trained or converted checkpoint, ready to translate.

    Where the checkpoint holds averaged weights, these are taken. Nothing that the file names is
    imported: a component comes from the toolkit, from an installed plugin, or from a module named
    here.

    Args:
        checkpoint: file that a training or tools/convert_checkpoint.py wrote.
        device: default the first GPU, or the CPU where there is none.
        plugins: importable plugin modules; a dotted `type` may name code below these.

    Raises:
        WeightsError: the file is missing or broken, carries no config, or its weights do not fit.
        ConfigError: the config names code outside the toolkit and `plugins`.
    """
    content = load_plain(checkpoint)
    config = content.get("config") if isinstance(content, Mapping) else None
    if not isinstance(config, Mapping) or "state_dict" not in content:
        raise WeightsError(
            f"{checkpoint} carries no config, so its networks are unknown; give a checkpoint that "
            f"this version of the toolkit trained, or convert released files with "
            f"tools/convert_checkpoint.py"
        )
    load_plugins(plugins)
    model = config.get("model")
    if not isinstance(model, Mapping) or "condition_channels" not in model:
        raise WeightsError(f"the config in {checkpoint} has no model of this toolkit: {model!r}")
    _check_dicts(config, content.get("meta"), checkpoint)
    parts = {name: model[name] for name in TRANSLATOR_SETTINGS if name in model}
    check_names(parts, plugins, checkpoint)
    translator = build_translator(parts, checkpoint)
    _fill(translator, content, checkpoint)
    fold_parametrizations(translator.eval())
    meta = content.get("meta") or {}
    settings = inference_settings(config, meta)
    classes, palette = names_and_colours(
        translator.condition_channels, settings["condition"], meta.get("dataset_meta") or {}
    )
    return TranslationModel(
        translator.to(_device(device)),
        {**config, "inference": settings},
        classes,
        palette,
        str(checkpoint),
    )


def _check_dicts(config: Mapping[str, Any], meta: Any, checkpoint: str | Path) -> None:
    """Refuse a file that has something else where settings are looked up."""
    found = {"meta": meta, "inference": config.get("inference")}
    for name in LOADERS:
        found[name] = config.get(name)
        if isinstance(found[name], Mapping):
            found[f"{name}.dataset"] = found[name].get("dataset")
    if isinstance(meta, Mapping):
        found["meta.dataset_meta"] = meta.get("dataset_meta")
    for name, value in found.items():
        if value is not None and not isinstance(value, Mapping):
            raise WeightsError(
                f"{name} in {checkpoint} is {type(value).__name__}, allowed is a dict or None; use "
                f"a whole checkpoint that this toolkit wrote"
            )


def build_translator(parts: Mapping[str, Any], checkpoint: str | Path) -> Translator:
    """The translator of a checkpoint's config.

    Raises:
        ConfigError: its settings do not fit.
    """
    try:
        return Translator(**parts)
    except ToolkitError:
        raise
    except Exception as error:
        raise ConfigError(
            f"the config in {checkpoint} gives no translator: {described(error)}; its settings: "
            f"{parts}"
        ) from error


def _device(wanted: torch.device | str | None) -> torch.device:
    if wanted is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise ConfigError(
            f"device {wanted!r} cannot be used here ({str(error).splitlines()[0]}); give cpu, or "
            f"leave it out for the first GPU, if there is one"
        ) from error
    return device


def _fill(translator: Translator, content: Mapping[str, Any], checkpoint: str | Path) -> None:
    prefix, state = "translator.", content["state_dict"]
    if AVERAGE in content:
        prefix, state = "module.", content[AVERAGE]
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise WeightsError(
            f"the weights in {checkpoint} are {type(state).__name__}, allowed is a dict of tensors "
            f"by name; use a whole checkpoint of this toolkit"
        )
    weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    try:
        translator.load_state_dict(weights)
    except RuntimeError as error:
        raise WeightsError(
            f"the weights in {checkpoint} do not fit the networks of its own config: {error}"
        ) from error


def check_names(settings: Any, plugins: Sequence[str], checkpoint: str | Path) -> None:
    """A dotted type would be imported and called by the registry, whatever it is.

    Raises:
        ConfigError: one that is not below `plugins`.
    """
    for name in _types(settings):
        if "." in name and not any(name.startswith(f"{plugin}.") for plugin in plugins):
            raise ConfigError(
                f"the config in {checkpoint} names the code {name!r}, which is not run just "
                f"because a checkpoint says so; if you trust it, make its module a plugin (see the "
                f"README) and name that with --plugins"
            )


def _types(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        if isinstance(settings.get("type"), str):
            yield settings["type"]
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for item in settings:
            yield from _types(item)
