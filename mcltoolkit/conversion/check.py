"""What is wrong with released state dicts: keys, shapes, numbers, and another architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mcltoolkit.conversion.names import NETWORKS, UNUSED, to_ours, to_theirs
from mcltoolkit.conversion.recipes import released_architecture
from mcltoolkit.conversion.shapes import Architecture
from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.models.translator import TRANSLATOR_SETTINGS, Translator
from mcltoolkit.registry import DISCRIMINATORS, build_component

State = Mapping[str, Tensor]
DIFFERS = "differs from the released"
FILE_OF = {  # part of the model -> the file that holds it
    "generator": "generator",
    "condition_encoder": "alignment",
    "image_encoder": "alignment",
    "correspondence": "alignment",
    "discriminator": "discriminator",
}


def departures(task: str, architecture: Architecture) -> dict[str, list[str]]:
    """What differs from the released networks of the task in more than width, by part."""
    departures: dict[str, list[str]] = {}
    for part, released in released_architecture(task).items():
        settings = architecture.settings.get(part, {})
        for name, value in released.items():
            if name in settings and settings[name] != value:
                departures.setdefault(part, []).append(
                    f"{DIFFERS} {task}: {part}.{name} {settings[name]}, released {value}"
                )
    return departures


def expected(
    model: Mapping[str, Any], with_discriminator: bool
) -> dict[str, dict[str, tuple[int, ...]]]:
    """{network: {released key: shape}} of the networks that the config's `model` builds.

    Raises:
        WeightsError: the toolkit cannot build them.
    """
    try:
        with torch.device("meta"):
            parts = {"translator": Translator(**{k: model[k] for k in TRANSLATOR_SETTINGS})}
            if with_discriminator:
                parts["discriminator"] = build_component(
                    DISCRIMINATORS,
                    model["discriminator"],
                    "model.discriminator",
                    in_channels=model["condition_channels"] + 3,
                )
    except ConfigError as error:
        raise WeightsError(f"no networks of this toolkit have these shapes: {error}") from error
    shapes: dict[str, dict[str, tuple[int, ...]]] = {name: {} for name in NETWORKS}
    for part, module in parts.items():
        for key, value in module.state_dict().items():
            place = to_theirs(f"{part}.{key}")
            assert place is not None, key
            shapes[place[0]][place[1]] = tuple(value.shape)
    return shapes


def rename(
    network: str, state: State, expected: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Tensor], list[str]]:
    """`state` under our names, and what is wrong with it, one line a key.

    Args:
        network: a key of `NETWORKS`.
        state: a released state dict.
        expected: {released key: shape}.
    """
    renamed: dict[str, Tensor] = {}
    problems = []
    for key, value in state.items():
        ours = to_ours(network, key)
        if ours is not None and key in expected:
            renamed[ours] = value
            if tuple(value.shape) != expected[key]:
                wanted = _shape(expected[key])
                problems.append(f"misshapen  {key}: {_shape(value.shape)} found, {wanted} expected")
            problems.extend(_unusable(key, value))
        elif not (network == "discriminator" and UNUSED.match(key)):
            problems.append(f"unknown    {key}: {_shape(value.shape)}")
    for key, shape in expected.items():
        if key not in state:
            problems.append(f"missing    {key}: {_shape(shape)}")
    if len(problems) > len(state) // 2:
        fits = {n: sum(to_ours(n, key) is not None for key in state) for n in NETWORKS}
        best = max(fits, key=lambda n: fits[n])
        if best != network and fits[best]:
            problems.insert(0, f"these are keys of the {best}, not of the {network}")
    return renamed, problems


def _unusable(key: str, value: Tensor) -> list[str]:
    """What is wrong with a tensor's numbers; only counters are whole."""
    kind = str(value.dtype).removeprefix("torch.")
    if key.endswith("num_batches_tracked"):
        whole = not value.is_floating_point() and not value.is_complex()
        return [] if whole else [f"not whole  {key}: {kind}"]
    if not value.is_floating_point():
        return [f"not floating  {key}: {kind}"]
    bad = int((~value.isfinite()).sum())
    return [f"not finite  {key}: {bad} of {value.numel()} values"] if bad else []


def refuse(problems: Mapping[str, Sequence[str]], files: Mapping[str, str]) -> None:
    """Stop where there are problems.

    Args:
        problems: lines by network.
        files: what to call the networks.

    Raises:
        WeightsError: lists all of them.
    """
    listed = [
        f"{files.get(name, name)}:\n    " + "\n    ".join(lines)
        for name, lines in problems.items()
        if lines
    ]
    if listed:
        advice = ""
        if any(line.startswith(DIFFERS) for lines in problems.values() for line in lines):
            advice = (
                " If these networks were built with other options on purpose, give "
                "--allow-other-architecture."
            )
        raise WeightsError(
            "these are not the networks of one released CoCosNet:\n  "
            + "\n  ".join(listed)
            + "\nGive whole state dicts as the released code saves them (*_net_G.pth, "
            "*_net_Corr.pth, *_net_D.pth)." + advice
        )


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
