"""State dicts of the released CoCosNet into a checkpoint of this toolkit, and back, bit by bit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import mcltoolkit
from mcltoolkit.conversion.check import FILE_OF, State, departures, expected, refuse, rename
from mcltoolkit.conversion.names import UNUSED, to_theirs
from mcltoolkit.conversion.recipes import assemble_config, recipe, released_architecture
from mcltoolkit.conversion.shapes import Architecture, infer
from mcltoolkit.engine.hooks.ema import KEY as AVERAGE
from mcltoolkit.errors import WeightsError

ENTRY = "cocosnet"  # of the checkpoint: what only the released code needs
LABELS = {  # of the released files: EPOCH_net_LABEL.pth
    "generator": "G",
    "alignment": "Corr",
    "discriminator": "D",
    "average generator": "G_ema",
    "average alignment": "netCorr_ema",
}


def to_toolkit(
    task: str,
    generator: State,
    alignment: State,
    discriminator: State | None = None,
    average: Mapping[str, State] | None = None,
    files: Mapping[str, str] | None = None,
    allow_other_architecture: bool = False,
) -> dict[str, Any]:
    """A checkpoint of this toolkit from the released state dicts; the tensors are shared.

    Args:
        task: `ade20k`, `celebahq`, `celebahqedge` or `deepfashion`: decides what shapes do not.
        generator, alignment, discriminator: the state dicts of `*_net_G.pth`, `*_net_Corr.pth`,
            `*_net_D.pth`. Without the last one a training starts from a fresh discriminator.
        average: the averaged `generator` and `alignment` (`*_net_G_ema.pth`,
            `*_net_netCorr_ema.pth`), if there are any.
        files: what to call the five in messages, by `generator`, `alignment`, `discriminator`,
            `average generator` and `average alignment`.
        allow_other_architecture: accept networks that differ from the task's released ones in more
            than their widths, such as attention or the number of scales. Otherwise a whole block
            that a file lacks is an error, not an option.

    Returns:
        `state_dict`, `config` (complete, plain data), `meta`, `cocosnet` (the discriminator's
        unused decoder, format versions), `absent` (parts of the model that the file lacks) and
        `ema_state_dict` where averages are given.

    Raises:
        ConfigError: no such task.
        WeightsError: unknown, missing or misshapen keys, tensors that are no finite floats, or
            another architecture than the released one; all of them are listed by file.
    """
    known = recipe(task)
    states: dict[str, State] = {"generator": generator, "alignment": alignment}
    if discriminator is not None:
        states["discriminator"] = discriminator
    shapes = {n: {k: tuple(v.shape) for k, v in s.items()} for n, s in states.items()}
    architecture = infer(shapes, known.correspondence, known.stride_kernel)
    channels = _agreed_channels(architecture, files or {}, known.channels)
    differences = departures(task, architecture)
    problems = {name: list(lines) for name, lines in architecture.assumed.items()}
    if not allow_other_architecture:
        for part, lines in differences.items():
            problems.setdefault(FILE_OF[part], []).extend(lines)
            architecture.settings[part].update(released_architecture(task)[part])
    config = assemble_config(task, channels, architecture.settings)
    wanted = expected(config["model"], "discriminator" in states)

    averages = {f"average {name}": state for name, state in (average or {}).items()}
    renamed: dict[str, dict[str, Tensor]] = {}
    for name, state in {**states, **averages}.items():
        network = name.removeprefix("average ")
        renamed[name], found = rename(network, state, wanted[network])
        problems.setdefault(name, []).extend(found)
    refuse(problems, files or {})

    checkpoint: dict[str, Any] = {
        "meta": {
            "task": task,
            "files": dict(files or {}),
            "departures": [line for lines in differences.values() for line in lines],
            "mcltoolkit": mcltoolkit.__version__,
        },
        "state_dict": {k: v for name in states for k, v in renamed[name].items()},
        "config": config,
        ENTRY: {
            "task": task,
            "unused": {k: v for k, v in (discriminator or {}).items() if UNUSED.match(k)},
            "versions": {
                name: _plain_versions(state)
                for name, state in {**states, **averages}.items()
                if getattr(state, "_metadata", None)
            },
        },
        "absent": [] if discriminator is not None else ["discriminator"],
    }
    if averages:
        translator = {
            k.replace("translator.", "module.", 1): v
            for name in averages
            for k, v in renamed[name].items()
        }
        checkpoint[AVERAGE] = {"n_averaged": torch.tensor(1), **translator}
    return checkpoint


def to_cocosnet(checkpoint: Mapping[str, Any]) -> tuple[dict[str, State], list[str]]:
    """The released state dicts from a checkpoint of this toolkit, converted or trained.

    Returns:
        {`G`, `Corr`, `D` where there is a discriminator, `G_ema` and `netCorr_ema` where there is
        an average: state dict}, and the keys that the released code has no place for and that it
        does not need (weights of losses).

    Raises:
        WeightsError: the networks have parts that CoCosNet has not, or lack some.
    """
    state = checkpoint["state_dict"]
    losses = [key for key in state if key.startswith("losses.")]
    networks = _split({k: v for k, v in state.items() if not k.startswith("losses.")})
    carried = checkpoint.get(ENTRY, {})
    if "discriminator" in networks:
        networks["discriminator"].update(carried.get("unused", {}))
    average = {
        f"translator.{key.removeprefix('module.')}": value
        for key, value in checkpoint.get(AVERAGE, {}).items()
        if key != "n_averaged"
    }
    networks |= {f"average {name}": part for name, part in _split(average).items()}
    missing = [name for name in ("generator", "alignment") if name not in networks]
    if missing:
        raise WeightsError(f"the checkpoint holds no {' and no '.join(missing)}")
    # what CoCosNet cannot build, such as another number of blocks, shows as missing keys
    task = carried.get("task", "ade20k")
    to_toolkit(
        task, networks["generator"], networks["alignment"], networks.get("discriminator"),
        files={name: f"the checkpoint's {name}, in the released names" for name in networks},
        allow_other_architecture=True,
    )  # fmt: skip
    for name, versions in carried.get("versions", {}).items():
        if name in networks:
            networks[name]._metadata = OrderedDict(versions)  # type: ignore[attr-defined]
    return {LABELS[name]: part for name, part in networks.items()}, losses


def _split(state: State) -> dict[str, OrderedDict[str, Tensor]]:
    networks: dict[str, OrderedDict[str, Tensor]] = {}
    foreign = []
    for key, value in state.items():
        place = to_theirs(key)
        if place is None:
            foreign.append(key)
        else:
            networks.setdefault(place[0], OrderedDict())[place[1]] = value
    if foreign:
        raise WeightsError(
            f"CoCosNet has no place for {len(foreign)} tensors of this checkpoint:\n  "
            + "\n  ".join(foreign)
            + "\nOnly networks without additions of MCL-Net (self_correlation=None, "
            "correspondence.hidden=None) can be written in the released form."
        )
    return networks


def _agreed_channels(architecture: Architecture, files: Mapping[str, str], released: int) -> int:
    channels = architecture.channels
    if len(set(channels.values())) > 1 and not architecture.assumed:
        listed = ", ".join(f"{files.get(n, n)}: {c}" for n, c in channels.items())
        raise WeightsError(
            f"the files differ in the channels of the condition ({listed}); give the files of one "
            f"training"
        )
    return channels.get("alignment", next(iter(channels.values()), released))


def _plain_versions(state: Any) -> dict[str, Any]:
    """torch's format versions of a state dict's modules."""
    return {name: dict(entry) for name, entry in state._metadata.items()}
