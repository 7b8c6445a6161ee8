"""A step that was not finite, computed again from its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mcltoolkit.engine.diagnosis import Finding, Moment, diagnose
from mcltoolkit.engine.files import load_plain
from mcltoolkit.engine.incident import FORMAT, PARTS, same_terms
from mcltoolkit.errors import ConfigError, ToolkitError, WeightsError, described
from mcltoolkit.inference.checkpoint import check_names
from mcltoolkit.models.exemplar_gan import ExemplarGAN
from mcltoolkit.plugins import load_plugins
from mcltoolkit.registry import MODELS
from mcltoolkit.structures import Batch


@dataclass
class Replay:
    """An incident, and the same step computed again.

    Attributes:
        dump: content of the file.
        terms: loss terms now.
        finding: what is first non-finite now.
    """

    dump: dict[str, Any]
    terms: dict[str, Tensor]
    finding: Finding

    @property
    def recorded(self) -> Finding:
        """What the training found."""
        return Finding(**self.dump["finding"])

    @property
    def same(self) -> bool:
        """All loss terms to the bit, and the same finding."""
        return same_terms(self.dump["terms"], self.terms) and self.recorded == self.finding

    def __str__(self) -> str:
        dump, then = self.dump, self.dump["terms"]
        lines = [
            f"step {dump['iteration']}, {dump['side']}, rank {dump['rank']} of {dump['ranks']}",
            f"batch {dump['batch']['names']}, exemplars {dump['batch']['exemplar_names']}",
            f"{'loss':20s} {'then':>14s} {'now':>14s}",
            *(f"{n:20s} {float(then[n]):14.7g} {float(t):14.7g}" for n, t in self.terms.items()),
            f"now:  {self.finding}",
            f"then: {self.recorded}",
        ]
        if self.same:
            return "\n".join([*lines, "the same as in the training"])
        other = "NOT the same as in the training"
        if dump["ranks"] > 1:
            other += " (layers that average over ranks see one rank here)"
        return "\n".join([*lines, other])


def replay(
    path: str | Path, device: torch.device | str | None = None, plugins: Sequence[str] = ()
) -> Replay:
    """Compute the step of an incident again.

    Args:
        path: file that `NonFiniteHook` wrote.
        device: default the kind of device that the training ran on, or the CPU.
        plugins: importable plugin modules; the file itself imports nothing.

    Raises:
        WeightsError: the file is missing, broken or something else, or its weights do not fit.
        ConfigError: its config names code outside the toolkit and `plugins`.
    """
    dump = load_plain(path)
    _check(dump, path)
    load_plugins(plugins)
    settings = dict(dump["config"]["model"])
    check_names(settings, plugins, path)
    vgg = settings.get("vgg")
    if isinstance(vgg, Mapping) and vgg.get("type") == "VGG19Features":
        settings["vgg"] = {**vgg, "weights": "random"}  # the file has them
    if device is None:
        device = dump["device"] if _available(dump["device"]) else "cpu"
    try:
        model: ExemplarGAN = MODELS.build(settings)
        model.load_state_dict(dump["state_dict"])
        for network, state in zip(model.losses._features, dump["features"], strict=True):
            network.load_state_dict(state)
        model = model.to(device).train()
        moment = Moment(
            dump["side"],
            Batch(**dump["batch"]).to(device),
            None if dump["fake"] is None else dump["fake"].to(device),
            dump["progress"],
            dump["random"],
            dump["buffers"],
            dump["dtype"],
        )
        terms, finding = diagnose(model, moment, dump["gradients"])
    except ToolkitError:
        raise
    except Exception as error:  # of a file that was changed, or of another version
        raise WeightsError(
            f"the step in {path} cannot be computed again: {described(error)}; use the version of "
            f"the toolkit that wrote the file, and give its plugins with --plugins"
        ) from error
    return Replay(dump, terms, finding)


def _check(dump: Any, path: str | Path) -> None:
    if not isinstance(dump, Mapping) or dump.get("format") != FORMAT:
        found = dump.get("format", "none") if isinstance(dump, Mapping) else type(dump).__name__
        raise WeightsError(
            f"{path} is no dump of a non-finite step (format: {found!r}, allowed: {FORMAT!r}); "
            f"give a file of WORK_DIR/nonfinite"
        )
    wrong = [name for name, kind in PARTS.items() if not isinstance(dump.get(name), kind)]
    if wrong or not isinstance(dump["config"].get("model"), Mapping) or "fake" not in dump:
        raise WeightsError(
            f"the dump {path} is incomplete: {', '.join(wrong) or 'model'} is missing or of "
            f"another kind; use the file as the training wrote it"
        )
    if dump["config"]["model"].get("type") != "ExemplarGAN":
        raise ConfigError(
            f"the dump {path} is of the model {dump['config']['model'].get('type')!r}; only "
            f"ExemplarGAN can be replayed"
        )


def _available(device: str) -> bool:
    return device == "cpu" or (device == "cuda" and torch.cuda.is_available())
