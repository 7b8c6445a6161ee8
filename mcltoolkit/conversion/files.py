"""Reading the released files, writing them, and the conversion from file to file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mcltoolkit.conversion.check import State
from mcltoolkit.conversion.convert import ENTRY, to_cocosnet, to_toolkit
from mcltoolkit.conversion.names import UNUSED
from mcltoolkit.engine.files import load_plain, save_whole
from mcltoolkit.errors import ConfigError, WeightsError

EPOCH = "latest"  # the released code looks for `latest_net_G.pth` by default


def read_released(path: str | Path) -> State:
    """The state dict in a file of the released code.

    Raises:
        WeightsError: it is no plain state dict of tensors.
    """
    state = load_plain(path)
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(
            f"{path} holds {type(state).__name__}, not a state dict; give a file that the released "
            f"code saved (*_net_G.pth, *_net_Corr.pth, *_net_D.pth)"
        )
    other = [str(key) for key, value in state.items() if not isinstance(value, Tensor)]
    if other:
        raise WeightsError(
            f"{path} holds {', '.join(other[:5])} beside or around tensors; the released code "
            f"saves a plain state dict: load the file, pick that dict out and save it alone"
        )
    if all(key.startswith("module.") for key in state):
        raise WeightsError(
            f"all keys of {path} begin with 'module.': it was saved from a DataParallel wrapper, "
            f"which the released code does not do; remove the prefix from the keys and save again"
        )
    return state


def convert_files(
    task: str,
    generator: str | Path,
    alignment: str | Path,
    out: str | Path,
    discriminator: str | Path | None = None,
    average_generator: str | Path | None = None,
    average_alignment: str | Path | None = None,
    allow_other_architecture: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Read released files, write one checkpoint of this toolkit, and return it.

    Args:
        task, generator, alignment, discriminator: see `to_toolkit`; the last three are files.
        out: file to write.
        average_generator, average_alignment: files of the averages, both or none.
        allow_other_architecture: see `to_toolkit`.
        overwrite: replace `out` where it exists; never one of the files that are read.

    Raises:
        WeightsError: see `to_toolkit`; or one average without the other.
        ConfigError: `out` exists, or is one of the files that are read.
    """
    if (average_generator is None) != (average_alignment is None):
        raise WeightsError(
            "the averages of generator and alignment belong together; give both or none"
        )
    paths = {
        "generator": generator,
        "alignment": alignment,
        "discriminator": discriminator,
        "average generator": average_generator,
        "average alignment": average_alignment,
    }
    sources = {Path(path).resolve() for path in paths.values() if path is not None}
    if Path(out).resolve() in sources:
        raise ConfigError(f"{out} is a file to convert; give --out another name")
    if Path(out).exists() and not overwrite:
        raise ConfigError(f"{out} exists; give --out another name, or --overwrite to replace it")
    states = {name: read_released(path) for name, path in paths.items() if path is not None}
    average = {
        name: states[f"average {name}"]
        for name in ("generator", "alignment")
        if f"average {name}" in states
    }
    checkpoint = to_toolkit(
        task,
        states["generator"],
        states["alignment"],
        states.get("discriminator"),
        average,
        {name: str(paths[name]) for name in states},
        allow_other_architecture,
    )
    save_whole(checkpoint, out)
    return checkpoint


def write_cocosnet(
    checkpoint: str | Path, folder: str | Path, overwrite: bool = False
) -> tuple[list[Path], list[str]]:
    """Write a checkpoint of this toolkit as the released code's files into a folder.

    Args:
        checkpoint: file that a training or a conversion wrote.
        folder: made where there is none.
        overwrite: write even where the folder holds such files, of another training perhaps.

    Returns:
        The files, and what there is to know about them, one sentence each.

    Raises:
        WeightsError: see `to_cocosnet`; or the file is no checkpoint of this toolkit.
        ConfigError: the folder holds such files already.
    """
    there = sorted(Path(folder).glob(f"{EPOCH}_net_*.pth"))
    if there and not overwrite:
        raise ConfigError(
            f"{', '.join(map(str, there))} exist already, perhaps the released originals; give "
            f"another folder, or --overwrite to replace them"
        )
    content = load_plain(checkpoint)
    if not isinstance(content, Mapping) or "state_dict" not in content:
        raise WeightsError(
            f"{checkpoint} is no checkpoint of this toolkit: it has no 'state_dict'; give a file "
            f"that a training or tools/convert_checkpoint.py wrote"
        )
    networks, left_out = to_cocosnet(content)
    files = [
        save_whole(state, Path(folder) / f"{EPOCH}_net_{label}.pth")
        for label, state in networks.items()
    ]
    notes = []
    if others := [str(path) for path in there if path not in files]:
        notes.append(f"left as they were, not of this checkpoint: {', '.join(others)}")
    if left_out:
        notes.append(f"left out, as the released code has no use for them: {', '.join(left_out)}")
    if "D" in networks and not any(UNUSED.match(key) for key in networks["D"]):
        notes.append(
            "the discriminator was trained here, without the decoder that the released one holds "
            "unused; the released code names its keys as missing and goes on"
        )
    return files, notes


def summary(checkpoint: Mapping[str, Any]) -> str:
    """What a converted checkpoint holds, in words."""
    model = checkpoint["config"]["model"]
    tensors = checkpoint["state_dict"]
    unused = checkpoint[ENTRY]["unused"]
    lines = [
        f"task {checkpoint['meta']['task']}: {model['condition_channels']} condition channels, "
        f"{len(tensors)} tensors, {sum(v.numel() for v in tensors.values()) / 1e6:.1f} M values"
    ]
    for part in ("condition_encoder", "image_encoder", "correspondence", "generator"):
        lines.append(f"{part}: {_settings(model[part])}")
    if "discriminator" in checkpoint["absent"]:
        lines.append("discriminator: none given; a training starts with a fresh one")
    else:
        lines.append(f"discriminator: {_settings(model['discriminator'])}")
    lines += checkpoint["meta"]["departures"]
    if unused:
        lines.append(
            f"the discriminator's decoder, which no forward pass uses, is carried beside the model "
            f"for the way back: {len(unused)} tensors"
        )
    if "ema_state_dict" in checkpoint:
        lines.append("the averaged weights are there too, and are what translate.py uses")
    return "\n".join(lines)


def _settings(part: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in part.items() if key != "type")
