"""Checkpoints that are no checkpoints, at the places that open one."""

import pickle

import pytest
import torch

from mcltoolkit.engine.config import load_config, plain_config
from mcltoolkit.engine.files import load_plain
from mcltoolkit.inference.checkpoint import load_model
from mcltoolkit.models.translator import TRANSLATOR_SETTINGS, Translator


@pytest.fixture(scope="module")
def content():
    """What a small training would have saved."""
    from pathlib import Path

    config = load_config(Path(__file__).parents[1] / "configs" / "tiny_scenes.py")
    plain = plain_config(config)
    parts = {name: plain["model"][name] for name in TRANSLATOR_SETTINGS if name in plain["model"]}
    state = {f"translator.{k}": v for k, v in Translator(**parts).state_dict().items()}
    return {"state_dict": state, "config": plain, "meta": {"iter": 1}}


def test_spoiled_bytes(content, tmp_path, judge, cases, spoiled_bytes):
    """A flip inside the weights may go unseen here: whole is not the same as unchanged."""
    path = tmp_path / "iter_1.pth"
    files = []
    for value in (content["state_dict"], {"a": torch.zeros(2)}, [1, "two"], {}):
        torch.save(value, path)
        files.append(path.read_bytes())
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    files.append(path.read_bytes())
    files += [pickle.dumps({"a": 1}), pickle.dumps(range(3)), b"PK\x03\x04", b"\x80\x02."]
    for case, rng in cases(400, "checkpoints"):
        path.write_bytes(spoiled_bytes(rng.choice(files), rng))
        judge(case, lambda: load_plain(path), path)
    judge.done(at_least=200)


PARTS = ("translator", "correspondence", "encoder", "generator")
ODD = (
    None,
    0,
    -1,
    "",
    "x",
    [],
    {},
    [1],
    {"type": "x"},
    3.5,
    True,
    torch.zeros(2),
    {1: 2},
    {"a": {}},
)


def test_contents_of_other_kinds(content, tmp_path, judge, cases):
    """A whole file with something else where the model, its config or its weights should be."""
    path = tmp_path / "iter_1.pth"
    for case, rng in cases(100, "contents"):
        changed = {name: {**value} for name, value in content.items()}
        what = rng.randrange(6)
        if what == 0:
            changed = rng.choice(ODD)
        elif what == 1:
            changed[rng.choice(list(changed))] = rng.choice(ODD)
        elif what == 2:
            name = rng.choice(("model", "inference", "test_dataloader"))
            changed["config"][name] = rng.choice(ODD)
        elif what == 3:
            changed["config"]["model"] = {**changed["config"]["model"]}
            changed["config"]["model"][rng.choice(TRANSLATOR_SETTINGS)] = rng.choice(ODD)
        elif what == 4:
            changed["state_dict"][rng.choice(list(changed["state_dict"]))] = rng.choice(ODD)
        else:
            changed.pop(rng.choice(list(changed)))
        torch.save(changed, path)
        judge(f"{case} kind {what}", lambda: load_model(path, "cpu"), path, *PARTS)
    judge.done(at_least=60)
