"""The model card: what an exported model is, how to run it, what is known and not known about it.

Front matter in YAML and sections after Mitchell et al., Model Cards for Model Reporting (2019).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mcltoolkit.export.description import ORIENTATION
from mcltoolkit.export.programs import programs
from mcltoolkit.inference.model import TranslationModel

FILE = "README.md"
_CLASSES_SHOWN = 40
LIMITS = (
    "one fixed image size; only the batch varies",
    "float32 on every device; the match holds all pairs of positions, so memory grows with the "
    "fourth power of the side",
    "label values and map channels mean what they meant in training; other values give nonsense "
    "without a warning, since an exported graph checks nothing",
    "made for research on guided image synthesis; not fit for decisions about people, nor for "
    "pictures that pass as evidence",
)


def card(
    model: TranslationModel,
    facts: Mapping[str, Any],
    description: Mapping[str, Any],
    notes: Sequence[str],
    metrics: Mapping[str, Any] | None,
    licence: str | None,
) -> str:
    """The card as Markdown.

    Args:
        model: of `load_model`.
        facts: `name`, `checkpoint`, `data`, `trained`: lines for the table.
        description: of `describe`.
        notes: of `terms`.
        metrics: name -> value and passport, or None where none were given.
        licence: identifier of the weights' licence, for the front matter.
    """
    front = {
        "library_name": "mcltoolkit",
        "pipeline_tag": "image-to-image",
        "tags": ["exemplar-guided-image-translation", *sorted(description["files"])],
        "license": licence or "other",
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n",
        f"# {facts['name']}\n",
        "Paints a condition in the style of an exemplar photo, by a learned dense match between "
        "the two. Exported from a checkpoint of mcltoolkit; the files here run without it.\n",
        _table(("", ""), [(key, _shown(value)) for key, value in facts.items() if key != "name"]),
        "## Files\n",
        _files(description["files"]),
        "## Inputs and outputs\n",
        _ports(description),
        f"Photos are read {ORIENTATION}. Every number that preparing inputs needs is in "
        "`io.json`, too.\n",
        *_classes(model, description["layers"]),
        "## Run it\n",
        *programs(description),
        "## Metrics\n",
        _metrics(metrics),
        "## Terms\n",
        _list(notes),
        "## Limits\n",
        _list(LIMITS),
        "## Config of the networks\n",
        f"```json\n{json.dumps(_networks(model), indent=2)}\n```",
    ]
    return "\n".join(parts) + "\n"


def _shown(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _list(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _files(files: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (f"`{name}`", kind, f"{entry['bytes'] / 1e6:.1f} MB", f"`{entry['sha256']}`")
        for kind, facts in files.items()
        for name, entry in facts["files"].items()
    ]
    verified = [
        f"- {kind} ({facts['version']}): largest difference to the model in memory "
        + ", ".join(f"{name} {value:.1e}" for name, value in facts["deviation"].items())
        + f"; allowed was {facts['tolerance']:g}, on images in [-1, 1], float32, CPU, "
        f"batches of {' and '.join(map(str, facts['batches']))}\n"
        for kind, facts in files.items()
    ]
    return _table(("file", "format", "size", "SHA-256"), rows) + "\n" + "".join(verified)


def _ports(description: Mapping[str, Any]) -> str:
    rows = [
        (
            kind,
            f"`{name}`",
            " x ".join(map(str, port["shape"])),
            f"{port['dtype']}, {port['range'][0]:g} to {port['range'][1]:g}",
            port["meaning"],
        )
        for kind in ("inputs", "outputs")
        for name, port in description[kind].items()
    ]
    rows = [(kind.removesuffix("s"), *rest) for kind, *rest in rows]
    return _table(("", "name", "shape", "values", "what"), rows)


def _classes(model: TranslationModel, layers: Sequence[int]) -> list[str]:
    if model.classes is None or model.palette is None:
        return []
    rows = [
        (
            f"{value} (layer)" if value in layers else str(value),
            name,
            "#{:02x}{:02x}{:02x}".format(*colour),
        )
        for value, (name, colour) in enumerate(zip(model.classes, model.palette, strict=True))
    ]
    more = len(rows) - _CLASSES_SHOWN
    rest = [f"{more} more are in `io.json`.\n"] if more > 0 else []
    table = _table(("label value", "class", "display colour"), rows[:_CLASSES_SHOWN])
    told = [
        f"No label map holds the value {value}: `{model.classes[value]}` is a mask of its own, "
        f"whose channel {value} of the condition is set beside that of the part behind it, as in "
        f"training; where there is none, the channel is 0 everywhere.\n"
        for value in layers
    ]
    return ["## Classes\n", table, *rest, *told]


def _metrics(metrics: Mapping[str, Any] | None) -> str:
    if not metrics:
        return "None were given at the export.\n"
    rows = [
        (
            f"`{name}`",
            f"{result.value:.4g}",
            ", ".join(f"{k}: {_shown(v)}" for k, v in result.passport.items() if v is not None),
        )
        for name, result in metrics.items()
    ]
    return _table(("metric", "value", "how it was measured"), rows)


def _networks(model: TranslationModel) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(dict(model.config["model"]), default=str))
    return {key: found[key] for key in found if key not in ("losses", "vgg", "discriminator")}
