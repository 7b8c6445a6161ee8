"""What a config assembles: parts, losses, training, and the file that set each setting.

The networks are built and run on the meta device, which knows shapes and holds no numbers: a config
of full size is explained in seconds, without data set, weights or memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mcltoolkit.data.picture_size import config_size
from mcltoolkit.engine.adjust import adjusted_by
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain_training import trained_numbers, training_lines
from mcltoolkit.engine.provenance import Setting, settings_of
from mcltoolkit.errors import ConfigError, ToolkitError
from mcltoolkit.losses.base import Loss
from mcltoolkit.models.exemplar_gan import ExemplarGAN
from mcltoolkit.registry import (
    CORRESPONDENCES,
    DISCRIMINATORS,
    ENCODERS,
    GENERATORS,
    LOSSES,
    MODELS,
    Registry,
    build_component,
)
from mcltoolkit.structures import Alignment, Batch, DiscriminatorPass, Painting

PARTS: Mapping[str, Registry] = {
    "condition_encoder": ENCODERS,
    "image_encoder": ENCODERS,
    "self_correlation": CORRESPONDENCES,
    "correspondence": CORRESPONDENCES,
    "generator": GENERATORS,
    "discriminator": DISCRIMINATORS,
}
DEVICES = ("meta", "cpu")


@dataclass(frozen=True)
class Part:
    """One component of the model.

    Attributes:
        name: its key in `model`.
        component, plugin: registered name, and who registered it.
        parameters: numbers that it trains; None where it is not built.
        output: shapes of what it returns for one sample, without the batch; or why there are none.
    """

    name: str
    component: str
    plugin: str
    parameters: int | None
    output: str


@dataclass(frozen=True)
class Term:
    """One loss: its key in `model.losses`, component, plugin, weight, what it reads, and the
    parameters of its own head."""

    name: str
    component: str
    plugin: str
    weight: float
    reads: tuple[str, ...]
    parameters: int


@dataclass
class Explanation:
    """What `explain` finds.

    Attributes:
        config: the config's file.
        size: (H, W) of the images that the shapes belong to.
        device: where the shapes come from: `meta`, or `cpu` where a component cannot run on meta.
        parts, terms: of the model.
        off: names of losses that the config switches off.
        training: data sets, optimisers, schedule, metrics and hooks, a line each by name.
        settings: every setting with its origin.
    """

    config: str
    size: tuple[int, int]
    device: str
    parts: list[Part]
    terms: list[Term]
    off: list[str]
    training: dict[str, str] = field(default_factory=dict)
    settings: list[Setting] = field(default_factory=list)


class _NoNumbers(TorchFunctionMode):
    """Shapes alone for the two operations of spectral norm's power iterations, of which a full-size
    model runs thousands as it is built: on the meta device they compute nothing, slowly."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.mv and not kwargs:
            return args[0].new_empty(len(args[0]))
        if func is F.normalize and kwargs.get("out") is not None:
            return kwargs["out"]
        return func(*args, **kwargs)


class _NotBuilt(nn.Module):
    """Stands for the fixed feature network, whose weights need not be there."""

    def __init__(self, **_: Any) -> None:
        super().__init__()


def explain(
    path: str | Path,
    options: dict[str, Any] | None = None,
    size: tuple[int, int] | None = None,
) -> Explanation:
    """Explain a config. No data set and no pretrained weights are read.

    Args:
        path: the config's file.
        options: dotted key -> value, as of `--cfg-options`.
        size: (H, W) of the images; None takes it from the data set's settings.

    Raises:
        ConfigError: a setting cannot be used, or the size cannot be told.
        UnknownComponentError: a component that no plugin registered.
    """
    config = load_config(path, options)
    if not isinstance(config.get("model"), Mapping):
        raise ConfigError(
            f"{path} has no `model` to explain; give a whole config, not a `_base_` piece"
        )
    size = size or image_size(config)
    for device in DEVICES:
        try:
            model = lay_out(config, device)
            outputs = _outputs(model, size, device)
            break
        except ToolkitError:
            raise
        except (RuntimeError, NotImplementedError) as error:
            if device == DEVICES[-1]:
                raise ConfigError(
                    f"the model of {path} cannot translate one sample of {size[0]}x{size[1]}: "
                    f"{error}; give another --size, or correct its components"
                ) from error
    return Explanation(
        config=str(path),
        size=size,
        device=device,
        parts=list(_parts(config, model, outputs)),
        terms=list(_terms(config, model)),
        off=[name for name in config.model.losses if name not in model.losses.terms],
        training=training_lines(config, model),
        settings=settings_of(config, options, adjusted_by(config)),
    )


def image_size(config: Config) -> tuple[int, int]:
    """(H, W) that the config's data sets give their images.

    Raises:
        ConfigError: they do not say.
    """
    if size := config_size(config):
        return size
    raise ConfigError(
        f"{config.filename} does not say how large its images are (no `size`, no geometry step "
        f"with height and width); give --size HEIGHT WIDTH"
    )


def lay_out(config: Config, device: str = "meta") -> ExemplarGAN:
    """The model of a config without its fixed feature network, for counts and shapes.

    Args:
        config: from `load_config`.
        device: `meta`, which holds no numbers, or any other.

    Raises:
        ConfigError: a setting of `model` cannot be used.
        UnknownComponentError: a component that no plugin registered.
    """
    settings = dict(config.model)
    vgg = settings.get("vgg")
    if isinstance(vgg, Mapping) and vgg.get("type"):
        MODELS.get(vgg["type"])
        settings["vgg"] = {**vgg, "type": _NotBuilt}
    with torch.device(device), _NoNumbers() if device == "meta" else nullcontext():
        model = build_component(MODELS, settings, "model")
    if not isinstance(model, ExemplarGAN):
        raise ConfigError(
            f"model.type is {config.model.type!r}; explain knows ExemplarGAN and what derives from "
            f"it"
        )
    return model.eval()


@torch.no_grad()
def _outputs(model: ExemplarGAN, size: tuple[int, int], device: str) -> dict[str, str]:
    """Shapes of the parts' outputs for one sample."""
    found: dict[str, str] = {}

    def watch(name: str, part: nn.Module) -> Any:
        return part.register_forward_hook(lambda *seen: found.update({name: shape_of(seen[-1])}))

    children = dict(model.translator.named_children())
    if model.discriminator is not None:
        children["discriminator"] = model.discriminator
    hooks = [watch(name, part) for name, part in children.items()]
    channels = model.translator.condition_channels
    with torch.device(device):
        condition, image = torch.zeros(1, channels, *size), torch.zeros(1, 3, *size)
        paired = torch.ones(1, dtype=torch.bool)
    batch = Batch(
        ["sample"], image, paired, condition=condition, truth=image, exemplar_condition=condition
    )
    try:
        translation = model.translator(batch, model.outputs)
        if model.discriminator is not None:
            model.discriminator(condition, translation.fake)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def shape_of(output: Any) -> str:
    """A component's output in words, without the batch: `256 x 64 x 64`."""
    if isinstance(output, Tensor):
        return " x ".join(map(str, output.shape[1:]))
    if isinstance(output, Alignment):
        grids = (output.match.grid, output.match.exemplar_grid)
        match = " to ".join(f"{h} x {w}" for h, w in grids)
        return f"match {match}, warped {shape_of(output.warped)}"
    if isinstance(output, Painting):
        return " and ".join([shape_of(output.image), *sorted(output.extras)])
    if isinstance(output, DiscriminatorPass):
        return "scores " + " and ".join(map(shape_of, output.scores))
    return type(output).__name__


def _parts(config: Config, model: ExemplarGAN, outputs: Mapping[str, str]) -> Iterable[Part]:
    for name, registry in PARTS.items():
        settings = config.model.get(name)
        if settings is None:
            continue
        owner = model if name == "discriminator" else model.translator
        part = getattr(owner, name)
        yield Part(
            name,
            settings.type,
            registry.origin(settings.type),
            None if part is None else trained_numbers(part),
            "not built: no loss reads it" if part is None else outputs.get(name, "not run"),
        )
    if vgg := config.model.get("vgg"):
        layers = ", ".join(sorted(model.losses.image_layers)) or "not built: no loss reads it"
        weights = vgg.get("weights") or "not set"
        output = f"{layers}; fixed, weights: {weights}"
        yield Part("vgg", vgg.type, MODELS.origin(vgg.type), None, output)


def _terms(config: Config, model: ExemplarGAN) -> Iterable[Term]:
    for name, module in model.losses.terms.items():
        term = cast(Loss, module)
        kind = config.model.losses[name].type
        reads = (*sorted(term.requires - {"image_features"}), *sorted(term.image_layers))
        if term.paired_only:
            reads += ("paired samples only",)
        yield Term(name, kind, LOSSES.origin(kind), term.weight, reads, trained_numbers(term))
