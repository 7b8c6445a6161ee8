"""Exports of three tiny models, made once: their tests only look at what is there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.data.face_masks import FaceMasks
from mcltoolkit.engine.config import load_config
from mcltoolkit.export import FORMATS, export_model, folder, onnx_model
from mcltoolkit.inference.checkpoint import build_translator
from mcltoolkit.models.translator import TRANSLATOR_SETTINGS
from mcltoolkit.plugins import load_plugins

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("scenes", "ade20k", "deepfashion")
# an ONNX file takes ten times the work of a captured graph
WRITTEN = {"scenes": FORMATS, "ade20k": ("torch-export",), "deepfashion": ("onnx",)}


def lively(translator):
    """Weights that make outputs differ from place to place, and attention that takes part."""
    with torch.no_grad():
        for name, parameter in translator.named_parameters():
            if name.endswith("gain"):
                parameter.fill_(0.5)
            elif name.endswith("weight") and parameter.dim() == 4:
                parameter.mul_(40)
    return translator


SMALL = dict(base_width=4, spade_hidden=4, spade_blocks=1)
TINY = {
    "condition_encoder": SMALL,
    "image_encoder": SMALL,
    "correspondence": dict(embed=8, blocks=1),
    "generator": dict(base_width=4, ups=2, spade_hidden=4),
    "vgg": None,
    "losses": None,
}
CONFIGS = {
    "scenes": ("tests/configs/tiny_scenes.py", {}),
    "ade20k": ("configs/cocosnet_ade20k.py", {"condition_channels": 7, **TINY}),
    "faces": ("configs/cocosnet_celebahq_mask.py", TINY),
    "deepfashion": ("configs/cocosnet_deepfashion.py", {"condition_channels": 4, **TINY}),
}


def write_checkpoint(family, path):
    """As a training would leave it; deepfashion as if converted from released files."""
    file, changes = CONFIGS[family]
    config = load_config(ROOT / file)._cfg_dict.to_dict()
    for name, settings in changes.items():
        kept = config["model"][name]
        config["model"][name] = {**kept, **settings} if isinstance(settings, dict) else settings
    if family != "scenes":
        config["inference"] = {"size": (32, 48), "condition": "maps"}
    if family in ("ade20k", "faces"):
        config["inference"]["condition"] = "labels"
    if family == "faces":
        config["inference"]["refused_labels"] = FaceMasks().metainfo["refused_labels"]
    parts = {name: config["model"][name] for name in TRANSLATOR_SETTINGS if name in config["model"]}
    state = lively(build_translator(parts, path)).state_dict()
    meta = {"iter": 7, "dataset_meta": SyntheticScenes("test", length=1).metainfo}
    content = {
        "state_dict": {f"translator.{name}": value for name, value in state.items()},
        "config": config,
        "meta": {"task": "deepfashion"} if family == "deepfashion" else meta,
    }
    torch.save(content, path)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """family -> checkpoint file."""
    load_plugins()
    folder = tmp_path_factory.mktemp("checkpoints")
    files = {family: folder / f"{family}.pth" for family in FAMILIES}
    torch.manual_seed(0)
    for family, file in files.items():
        write_checkpoint(family, file)
    return files


@pytest.fixture(scope="session")
def exported(checkpoints, tmp_path_factory):
    """family -> (checkpoint, folder); weights of the last one lie in a file of their own."""
    made = {}

    def export(family):
        if family not in made:
            folder = tmp_path_factory.mktemp("exports") / family
            with pytest.MonkeyPatch.context() as patch:
                if family == "deepfashion":
                    patch.setattr(onnx_model, "EXTERNAL_ABOVE", 1000)
                export_model(checkpoints[family], folder, WRITTEN[family])
            made[family] = (checkpoints[family], folder)
        return made[family]

    return export


@pytest.fixture
def pictures():
    """Writes condition, exemplar and its condition into a folder, of no size in particular."""

    def write(folder, classes=6, size=(44, 52)):
        rng = np.random.default_rng(1)
        for name in ("condition", "exemplar_condition"):
            rough = rng.integers(classes, size=(4, 5), dtype=np.uint8)
            labels = Image.fromarray(rough).resize(size[::-1], Image.NEAREST)
            labels.save(folder / f"{name}.png")
        rough = rng.integers(256, size=(6, 7, 3), dtype=np.uint8)
        Image.fromarray(rough).resize(size[::-1], Image.BICUBIC).save(folder / "exemplar.png")

    return write


@pytest.fixture
def quick(monkeypatch):
    """Exports that capture and run nothing: for what happens around them."""
    monkeypatch.setattr(folder, "capture", lambda translator, signature: None)
    monkeypatch.setattr(folder, "open_program", lambda path: None)
    monkeypatch.setattr(folder, "deviations", lambda *given: {"image": 0.0, "warped": 0.0})

    def write(program, path):
        path.write_bytes(b"made")
        return [path]

    monkeypatch.setattr(folder, "write_program", write)


@pytest.fixture
def faces(tmp_path):
    """A checkpoint of CelebA-HQ masks, whose glasses are a layer over the parts."""
    path = tmp_path / "faces.pth"
    write_checkpoint("faces", path)
    return path
