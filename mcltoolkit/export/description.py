"""`io.json`: what an exported model takes and gives, so that programs can use it without this
toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcltoolkit
from mcltoolkit.data.face_masks import CLASSES
from mcltoolkit.export.signature import OUTPUTS, Signature
from mcltoolkit.inference.model import TranslationModel

FILE = "io.json"
FORMAT = 1
ORIENTATION = "as stored: an EXIF orientation is not applied, as in training"


def describe(
    model: TranslationModel,
    signature: Signature,
    files: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The content of `io.json`.

    Args:
        model: of `load_model`.
        signature: of the exported model.
        files: by format, what `export_model` found out about the files.

    Returns:
        Plain data: `inputs` and `outputs` by name with shape, range and meaning, `preprocessing`
        and `postprocessing` as steps with numbers, `classes`, `palette`, `layers`, `files`.
    """
    height, width = signature.size
    layered = list(model.form.refused_labels)  # channels over the labels, such as glasses
    return {
        "format": FORMAT,
        "toolkit": f"mcltoolkit {mcltoolkit.__version__}",
        "size": {"height": height, "width": width, "multiple_of": model.stride},
        "batch": {"dynamic": True, "smallest": 1},
        "condition_kind": signature.kind,
        "channels": signature.channels,
        "order": {"inputs": list(signature.inputs), "outputs": list(OUTPUTS)},
        "inputs": {
            name: {
                "shape": ["batch", channels, height, width],
                "dtype": "float32",
                "layout": "NCHW",
                "range": [-1.0, 1.0] if name == "exemplar" else [0.0, 1.0],
                "meaning": _MEANINGS[name],
                "preprocessing": (
                    _photo(height, width)
                    if name == "exemplar"
                    else _condition(model, signature, layered)
                ),
            }
            for name, channels in signature.inputs.items()
        },
        "outputs": {
            name: {
                "shape": ["batch", 3, height, width],
                "dtype": "float32",
                "layout": "NCHW",
                "range": [-1.0, 1.0],
                "meaning": _MEANINGS[name],
                "postprocessing": {"formula": "uint8(round((clip(x, -1, 1) + 1) * 127.5))"},
            }
            for name in OUTPUTS
        },
        "classes": None if model.classes is None else list(model.classes),
        "palette": None if model.palette is None else [list(colour) for colour in model.palette],
        "layers": layered,
        "files": {name: dict(facts) for name, facts in files.items()},
    }


_MEANINGS = {
    "condition": "the layout to paint",
    "exemplar": "photo whose style is asked for, RGB",
    "exemplar_condition": "the layout of the exemplar, made as `condition` is",
    "image": "the condition painted in the exemplar's style, RGB",
    "warped": "the exemplar's colours in the condition's layout, RGB; what the match found",
}


def _photo(height: int, width: int) -> list[dict[str, Any]]:
    return [
        {"step": "read", "colours": "RGB", "dtype": "uint8", "orientation": ORIENTATION},
        {"step": "resize", "height": height, "width": width, "filter": "bicubic, antialiased"},
        {"step": "scale", "formula": "x / 127.5 - 1"},
        {"step": "transpose", "from": "HWC", "to": "CHW"},
    ]


def _condition(
    model: TranslationModel, signature: Signature, layered: list[int]
) -> list[dict[str, Any]]:
    height, width = signature.size
    if signature.kind != "labels":
        return [
            {
                "step": "read",
                "channels": signature.channels,
                "dtype": "float32",
                "note": f"maps of {height} x {width} made as in training, in [0, 1]; never resized",
            }
        ]
    replaced = model.settings.get("label_map") or {}
    note = "one class number a pixel"
    if layered:
        without = ", ".join(map(str, layered))
        note = f"{note}, 0 to {signature.channels - 1} without {without}; the part behind a layer"
    return [
        {"step": "read", "channels": 1, "dtype": "integer", "note": note},
        {"step": "replace", "values": {str(k): int(v) for k, v in replaced.items()}},
        {"step": "resize", "height": height, "width": width, "filter": "nearest, pixel centres"},
        {"step": "one-hot", "channels": signature.channels, "axis": "C"},
        *(
            {
                "step": "layer",
                "channel": channel,
                "note": f"a mask of its own ({CLASSES[channel]}), resized as the labels are: 1 "
                f"where it lies, beside the 1 of the label behind it, and 0 elsewhere; all 0 "
                f"where there is none",
            }
            for channel in layered
        ),
    ]
