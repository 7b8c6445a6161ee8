"""Weights of a timm network: random, from a file, or downloaded by timm.

A file is compared with the whole network, name by name, before anything is taken from it. timm's
own loading would not do: it goes on with whatever the file lacks as soon as the head differs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import adapt_input_conv, load_state_dict
from torch import Tensor, nn

from mcltoolkit.errors import WeightsError
from mcltoolkit_backbones.anatomy import Anatomy

RANDOM, DOWNLOAD = "random", "timm"
CHOICE = (
    "set the encoder's `weights` to the path of a state dict of this very model (.safetensors, "
    ".pth), 'timm' (timm downloads its pretrained weights) or 'random'"
)

COUNTER = "num_batches_tracked"  # batch norm's; old files lack it and nothing reads it
COLOURS = 3


class AbsentWeightsError(WeightsError):
    """The weights are not here; a checkpoint that fills the network makes them needless."""


def load_file(network: nn.Module, anatomy: Anatomy, path: str | Path) -> None:
    """Fill `network` from a file, in place.

    The file holds the state dict of the whole timm model, with or without its classifier, or one in
    a layout that timm's model knows to convert (such as those that DINOv2's authors release), and
    is read with weights_only=True. Weights of the first layer are adapted from colours to other
    input channels as timm does: summed for one channel, else repeated and scaled by 3 / C.

    Raises:
        AbsentWeightsError: there is no such file.
        WeightsError: the file is broken or of another model; the message names what is missing,
            unknown or of another shape.
    """
    path = Path(path).expanduser()
    state = _read(path)
    options = {**anatomy.options, "in_chans": COLOURS}
    with torch.device("meta"):
        whole: Any = timm.create_model(anatomy.model, num_classes=0, **options)
    given = _converted(state, whole, path)
    _compare(given, whole.state_dict(), anatomy.model, path)
    _adapt(given, anatomy)
    ours = network.state_dict()
    names = {key: _name_in_file(key, given) for key in ours}
    lost = [key for key, name in names.items() if name is None and not key.endswith(COUNTER)]
    if lost:
        raise WeightsError(
            f"weights {path}: timm {timm.__version__} names {len(lost)} weights of "
            f"{anatomy.model} differently when it gives feature maps ({_some(lost)}); use "
            f"weights='timm' for this model"
        )
    filled = {key: given[name] if name else ours[key] for key, name in names.items()}
    try:
        network.load_state_dict(filled)
    except RuntimeError as error:  # a first layer that cannot be adapted to other channels
        raise WeightsError(
            f"weights {path} do not fit {anatomy.model} with "
            f"{anatomy.options['in_chans']} input channels: {error}; {CHOICE}"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise AbsentWeightsError(
            f"the encoder's weights {path} cannot be read: it {what}; {CHOICE}"
        )
    try:
        state = load_state_dict(str(path), weights_only=True)
        if not state or not all(isinstance(v, Tensor) for v in state.values()):
            raise TypeError(f"it holds {_some(list(state)) or 'nothing'}, no state dict of tensors")
    except Exception as error:  # torch and safetensors raise half a dozen kinds for a broken file
        reason = str(error).splitlines()[0][:160] if str(error) else ""
        raise WeightsError(
            f"the encoder's weights {path} ({path.stat().st_size} bytes) cannot be read as a state "
            f"dict ({type(error).__name__}: {reason}); fetch the file again, or {CHOICE}"
        ) from error
    return dict(state)


def _converted(state: dict[str, Tensor], whole: Any, path: Path) -> dict[str, Tensor]:
    """In timm's layout and the network's size, without the classifier."""
    convert = getattr(sys.modules[type(whole).__module__], "checkpoint_filter_fn", None)
    try:
        given = dict(convert(state, whole)) if convert else state
    except Exception as error:  # made for files of some layouts: others fail in any way
        raise WeightsError(
            f"the encoder's weights {path} have no layout that timm can read for this model "
            f"({type(error).__name__}: {error}; keys {_some(list(state))}); {CHOICE}"
        ) from error
    classifier = whole.pretrained_cfg.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    prefixes = tuple(f"{name}." for name in heads)
    return {key: value for key, value in given.items() if not key.startswith(prefixes)}


def _compare(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], model: str, path: Path
) -> None:
    problems = [
        *(f"{key} is missing" for key in wanted if key not in given and not key.endswith(COUNTER)),
        *(f"{key} is unknown" for key in given if key not in wanted),
        *(
            f"{key} has shape {tuple(given[key].shape)} in place of {tuple(value.shape)}"
            for key, value in wanted.items()
            if key in given and given[key].shape != value.shape
        ),
    ]
    if problems:
        shown = "; ".join(problems[:6]) + (" ..." if len(problems) > 6 else "")
        raise WeightsError(
            f"the encoder's weights {path} do not fit {model}: {len(problems)} of {len(wanted)} "
            f"keys ({shown}); {CHOICE}"
        )


def _adapt(given: dict[str, Tensor], anatomy: Anatomy) -> None:
    channels = anatomy.options["in_chans"]
    if channels == COLOURS:
        return
    for layer in anatomy.first_conv:
        name = f"{layer}.weight"
        if name in given:
            given[name] = adapt_input_conv(channels, given[name])


def _name_in_file(key: str, given: Mapping[str, Tensor]) -> str | None:
    """The name in timm's whole model: its feature networks put themselves in front and may flatten
    the first two levels (`stages.0.x` becomes `stages_0.x`)."""
    name = key.removeprefix("model.").removeprefix("body.")
    flattened = re.sub(r"^([^.]*)_(\d+)\.", r"\1.\2.", name)
    return next((n for n in (name, flattened) if n in given), None)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f", ... ({len(names)})" if len(names) > 3 else "")
