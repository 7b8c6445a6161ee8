"""What a timm network offers, read off a copy on the meta device that holds no numbers.

So layers, sizes and names are settled, and told to be wrong, before weights are made or read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit_backbones.network import BUILD_ERRORS, build_network, refused

PLAIN_LAYERS = 4


@dataclass(frozen=True)
class Anatomy:
    """How a network is used.

    Attributes:
        model: timm's name.
        plain: a plain vision transformer: all layers have the same grid.
        layers: indices of the layers that give maps, ascending.
        channels: of their maps.
        reductions: pixels of the image on a position's side, of their maps.
        fixed_size: (H, W), the only size that the network takes; None if it takes any whose sides
            are multiples of `multiple`.
        multiple: the largest of `reductions`.
        options: arguments of `timm.create_model`.
        unused: names of parameters that get no gradient from the maps.
        mean, std: of the colours in [0, 1] that the model's pretrained weights expect.
        first_conv: names of the layers that read the image.
    """

    model: str
    plain: bool
    layers: tuple[int, ...]
    channels: tuple[int, ...]
    reductions: tuple[int, ...]
    fixed_size: tuple[int, int] | None
    multiple: int
    options: Mapping[str, Any]
    unused: frozenset[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    first_conv: tuple[str, ...]


def study(
    model: str,
    in_channels: int,
    layers: Sequence[int] | None,
    stride: int,
    build_size: tuple[int, int] | None,
    final_norm: bool,
) -> Anatomy:
    """Study a network.

    Args:
        model: timm's name, with or without a tag of pretrained weights.
        in_channels: C.
        layers: indices, negative ones from the end; None takes all that are not finer than `stride`
            or, of a plain vision transformer, four at equal distances of which one is the last.
        stride: of the encoder's output.
        build_size: (H, W) that a network of fixed size is built for; None leaves it the model's
            own. Others do not need it.
        final_norm: see `TokenMaps`.

    Raises:
        ConfigError: an unknown model, one without feature maps, a layer that it does not have, or a
            size that it does not take.
    """
    if not isinstance(model, str) or not timm.is_model(model):  # nor names of online hubs
        raise ConfigError(
            f"TimmEncoder.model is {model!r}, which timm {timm.__version__} does not have"
            f"{near_matches(str(model), timm.list_models())}; timm.list_models('*PART*') lists "
            f"its models"
        )
    options: dict[str, Any] = {"in_chans": in_channels}
    with torch.device("meta"):
        whole, dynamic = _whole(model, options)
        settings = whole.pretrained_cfg
        if dynamic:
            options["dynamic_img_size"] = True
        fixed_size = None
        if settings.get("fixed_input_size") and not dynamic:
            fixed_size = build_size or tuple(settings["input_size"][-2:])
            options["img_size"] = fixed_size
        table = [(info["num_chs"], _side(info["reduction"])) for info in whole.feature_info.info]
        reductions = [reduction for _, reduction in table]
        plain = len(set(reductions)) == 1 and hasattr(
            getattr(whole, "model", None), "prune_intermediate_layers"
        )
        chosen = _choose(model, layers, table, plain, stride)
        network = build_network(model, chosen, plain, final_norm, options)
        multiple = max(reductions[layer] for layer in chosen)
        size = fixed_size or (2 * multiple, 2 * multiple)
        try:
            maps = network(torch.empty(2, in_channels, *size))
            torch.stack([m.float().sum() for m in maps]).sum().backward()
        except (RuntimeError, ValueError, AssertionError) as error:
            raise refused(model, error, {**options, "image": size}) from error
    first = settings.get("first_conv") or ()
    return Anatomy(
        model=model,
        plain=plain,
        layers=chosen,
        channels=tuple(m.shape[1] for m in maps),
        reductions=tuple(reductions[layer] for layer in chosen),
        fixed_size=fixed_size,
        multiple=multiple,
        options=options,
        unused=frozenset(name for name, p in network.named_parameters() if p.grad is None),
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        first_conv=(first,) if isinstance(first, str) else tuple(first),
    )


def _whole(model: str, options: Mapping[str, Any]) -> tuple[Any, bool]:
    """The network with all its layers, and whether it interpolates its positions to any size."""
    settings: dict[str, Any] = {"features_only": True, **options}
    try:
        try:
            return timm.create_model(model, **settings, dynamic_img_size=True), True
        except TypeError as error:
            if "dynamic_img_size" not in str(error):
                raise
            return timm.create_model(model, **settings), False
    except BUILD_ERRORS as error:
        raise refused(model, error, options) from error


def _side(reduction: Any) -> int:
    return max(reduction) if isinstance(reduction, tuple | list) else int(reduction)


def _choose(
    model: str,
    layers: Sequence[int] | None,
    table: Sequence[tuple[int, int]],
    plain: bool,
    stride: int,
) -> tuple[int, ...]:
    count = len(table)
    if layers is None:
        if plain:
            number = min(PLAIN_LAYERS, count)
            return tuple(count * (i + 1) // number - 1 for i in range(number))
        coarse = tuple(i for i, (_, reduction) in enumerate(table) if reduction >= stride)
        return coarse or (count - 1,)
    wanted = list(layers) if not isinstance(layers, int) else [layers]
    if not wanted or any(not isinstance(i, int) or not -count <= i < count for i in wanted):
        found = ", ".join(f"{i}: {c} channels at stride {r}" for i, (c, r) in enumerate(table))
        raise ConfigError(
            f"TimmEncoder.layers is {layers!r}; {model} has the layers 0 to {count - 1} ({found}); "
            f"name one or more of them, or None for a choice"
        )
    return tuple(sorted({i % count for i in wanted}))
