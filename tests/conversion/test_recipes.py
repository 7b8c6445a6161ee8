import json
from pathlib import Path

import pytest
import torch

from mcltoolkit.conversion import RECIPES, to_toolkit
from mcltoolkit.engine.config import load_config
from mcltoolkit.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]


def assembled(cocosnet, task):
    return to_toolkit(task, **cocosnet.make(**cocosnet.TASKS[task]))


@pytest.mark.parametrize(
    ("task", "expected"),
    [  # the released training and test options of each task
        ("ade20k", dict(per=0.01, layer="relu5_2", pse=1, cyc=None, mask=100, self_warp=None)),
        ("celebahq", dict(per=0.001, layer="relu4_2", pse=10, cyc=0.1, mask=100, self_warp=None)),
        ("celebahqedge", dict(per=0.001, layer="relu4_2", pse=10, cyc=1, mask=None)),
        ("deepfashion", dict(per=0.001, layer="relu4_2", pse=10, cyc=None, self_warp=100)),
    ],
)
def test_loss_weights_are_the_released_ones(cocosnet, task, expected):
    losses = assembled(cocosnet, task)["config"]["model"]["losses"]
    assert losses["per"]["layer"] == expected.pop("layer")
    for name, weight in expected.items():
        assert (losses[name]["weight"] if name in losses else None) == weight, name
    for name in ("adv", "feature_matching", "cxt", "fcst"):
        assert losses[name]["weight"] == 10


@pytest.mark.parametrize(
    ("task", "mix", "warp", "upsample", "condition"),
    [
        ("ade20k", True, "average", "nearest", "labels"),
        ("celebahq", True, "average", "bilinear", "labels"),
        ("celebahqedge", True, "average", "bilinear", "maps"),
        ("deepfashion", False, "patch", "bilinear", "maps"),
    ],
)
def test_what_shapes_cannot_tell(cocosnet, task, mix, warp, upsample, condition):
    config = assembled(cocosnet, task)["config"]
    settings = config["model"]["correspondence"]
    assert settings["mask_mix"] is mix
    assert settings.get("warp", "average") == warp
    assert settings.get("upsample", "nearest") == upsample
    assert (settings["centre"], settings["temperature"]) == ("channels", 0.01)
    assert config["model"]["image_encoder"]["spade_norm"] == "pono"
    refused = [16] if task == "celebahq" else []
    assert config["inference"] == {
        "size": (256, 256), "condition": condition, "refused_labels": refused,
    }  # fmt: skip


@pytest.mark.parametrize("task", RECIPES)
def test_the_config_builds_the_whole_model_and_is_plain_data(cocosnet, task):
    checkpoint = assembled(cocosnet, task)
    config = checkpoint["config"]
    json.dumps(config)  # raises for anything but numbers, texts, lists and dicts
    config["model"]["vgg"].update(weights="random", width_divisor=16)
    model = MODELS.build(config["model"])
    model.load_state_dict(checkpoint["state_dict"])
    assert torch.equal(
        model.translator.generator.last.bias,
        checkpoint["state_dict"]["translator.generator.last.bias"],
    )


@pytest.mark.parametrize(
    ("task", "file"),
    [
        ("ade20k", "ade20k"),
        ("celebahq", "celebahq_mask"),
        ("celebahqedge", "celebahq_edge"),
        ("deepfashion", "deepfashion"),
    ],
)
def test_a_task_agrees_with_the_shipped_config(cocosnet, task, file):
    shipped = load_config(ROOT / "configs" / f"cocosnet_{file}.py")
    config = assembled(cocosnet, task)["config"]
    ours, theirs = config["model"], shipped.model.to_dict()
    for name, loss in ours["losses"].items():
        assert theirs["losses"][name] == loss, name
    assert {k for k, v in theirs["losses"].items() if v} == ours["losses"].keys()
    for name in ("mask_mix", "centre", "neighbourhood", "temperature", "hidden"):
        default = {"mask_mix": False, "centre": "channels"}.get(name)
        assert theirs["correspondence"].get(name, default) == ours["correspondence"][name], name
    for name, default in (("warp", "average"), ("upsample", "nearest")):
        if name == "upsample" and ours["correspondence"].get("warp") == "patch":
            continue  # patches come in full size
        found = (theirs["correspondence"], ours["correspondence"])
        assert found[0].get(name, default) == found[1].get(name, default), name
    for side in ("generator", "discriminator"):
        optimizer = shipped.optim_wrapper[side].optimizer.to_dict()
        assert optimizer == config["optim_wrapper"][side]["optimizer"]
    assert shipped.param_scheduler.to_dict() == config["param_scheduler"]
    assert shipped.train_cfg.max_epochs == config["train_cfg"]["max_epochs"]
    assert theirs["condition_channels"] == RECIPES[task].channels
    assert shipped.get("ignore_label") == RECIPES[task].ignore_label
    (resize,) = shipped.test_dataloader.dataset.geometry
    assert (resize.height, resize.width) == config["inference"]["size"]
