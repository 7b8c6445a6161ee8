"""The model card's programs: short, and knowing nothing of this toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def programs(description: Mapping[str, Any]) -> list[str]:
    """A program for each format, as Markdown.

    Args:
        description: of `describe`.
    """
    labels = description["condition_kind"] == "labels"
    third = "exemplar_condition" in description["inputs"]
    name = "condition.png" if labels else "condition.npy"
    layered = _READ_LAYERS if description["layers"] else _READ_LABELS
    reading = (layered if labels else _READ_MAPS).strip()
    feed = [f'    "condition": read_condition("{name}"),', '    "exemplar": exemplar[None],']
    if third:
        feed.append(f'    "exemplar_condition": read_condition("exemplar_{name}"),')
    inputs = "\n".join(["inputs = {", *feed, "}"])
    photo = _PHOTO.replace("json\n", "json\nfrom pathlib import Path\n", 1)
    photo = (photo if description["layers"] else _PHOTO).strip()
    shared = f"{photo}\n\n\n{reading}\n\n\n{_EXEMPLAR.strip()}\n{inputs}"
    made = []
    if "onnx" in description["files"]:
        made += [
            "With ONNX Runtime (`pip install onnxruntime numpy pillow`), in this folder:\n",
            f"```python\nimport onnxruntime\n{shared}\n{_RUN_ONNX.strip()}\n{_SAVE.strip()}\n```\n",
        ]
    if "torch-export" in description["files"]:
        made += [
            "With PyTorch, which should be the version that wrote the file or a newer one:\n",
            f"```python\nimport torch\n{shared}\n{_RUN_TORCH.strip()}\n{_SAVE.strip()}\n```\n",
        ]
    return made


_PHOTO = """
import json

import numpy as np
from PIL import Image

io = json.load(open("io.json"))
size = io["size"]["width"], io["size"]["height"]
"""
_READ_LABELS = """
def read_condition(file):
    steps = {s["step"]: s for s in io["inputs"]["condition"]["preprocessing"]}
    labels = np.array(Image.open(file))
    for old, new in steps["replace"]["values"].items():
        labels = np.where(np.array(Image.open(file)) == int(old), new, labels)
    labels = np.array(Image.fromarray(labels.astype(np.int32)).resize(size, Image.NEAREST))
    classes = np.arange(io["channels"])[:, None, None]
    return (labels == classes)[None].astype(np.float32)
"""
_READ_LAYERS = (
    _READ_LABELS.rpartition("    return")[0]
    + """    dense = (labels == classes).astype(np.float32)
    for channel in io["layers"]:
        mask = file.replace(".png", f"_layer_{channel}.png")  # white where it lies, if anywhere
        if Path(mask).exists():
            dense[channel] = np.array(Image.open(mask).convert("L").resize(size, Image.NEAREST)) > 0
    return dense[None]
"""
)
_READ_MAPS = """
def read_condition(file):
    return np.load(file)[None].astype(np.float32)
"""
_EXEMPLAR = """
photo = Image.open("exemplar.png").convert("RGB").resize(size, Image.BICUBIC)
exemplar = np.asarray(photo, np.float32).transpose(2, 0, 1) / 127.5 - 1
"""
_RUN_ONNX = """
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
image, warped = session.run(["image", "warped"], inputs)
"""
_RUN_TORCH = """
network = torch.export.load("model.pt2").module()
image, warped = (x.detach().numpy() for x in network(*map(torch.from_numpy, inputs.values())))
"""
_SAVE = """
pixels = ((image[0].clip(-1, 1) + 1) * 127.5).round().astype(np.uint8).transpose(1, 2, 0)
Image.fromarray(pixels).save("image.png")
"""
