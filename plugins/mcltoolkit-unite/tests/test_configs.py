import json
from pathlib import Path

import pytest
import torch

from mcltoolkit.ablation.matrix import read_matrix
from mcltoolkit.ablation.plan import plan
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import lay_out
from mcltoolkit.engine.launch import train

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@pytest.mark.parametrize("name", sorted(file.name for file in CONFIGS.glob("*.py")))
def test_every_config_loads_and_builds_on_the_meta_device(name):
    model = lay_out(load_config(CONFIGS / name))
    found = type(model.translator.correspondence).__name__
    expected = "CosineCorrespondence" if name == "compare_base.py" else "TransportCorrespondence"
    assert found == expected


def test_the_full_recipe_differs_from_cocosnet_in_the_match_only():
    ours = load_config(CONFIGS / "unite_ade20k.py").to_dict()
    theirs = load_config("mcltoolkit::cocosnet_ade20k.py").to_dict()
    match, softmax = (c["model"].pop("correspondence") for c in (ours, theirs))
    for settings in (ours, theirs):
        settings.pop("plugins"), settings.pop("work_dir")
    assert ours == theirs
    shared = {"mask_mix", "neighbourhood", "centre"}
    assert {k: match[k] for k in shared} == {k: softmax[k] for k in shared}
    assert softmax["hidden"] is None
    assert "hidden" not in match
    assert match["epsilon"] == 0.025


def test_the_comparison_changes_the_match_only(tmp_path):
    runs = plan(read_matrix(CONFIGS / "compare.yaml"), tmp_path)
    assert len(runs) == 12
    rest = {json.dumps(rest_of(run.settings), sort_keys=True, default=str) for run in runs}
    assert len(rest) == 1


def rest_of(settings):
    """Settings but for the match and the seeds."""
    settings = json.loads(json.dumps(settings, default=str))
    settings["model"].pop("correspondence")
    settings["train_dataloader"]["dataset"].pop("seed")
    settings.pop("randomness")
    return settings


def test_a_tiny_version_of_the_scenes_trains(tmp_path):
    encoder = {"base_width": 4, "spade_hidden": 4}
    data = {"batch_size": 2, "num_workers": 0, "persistent_workers": False}
    options = {
        "model.condition_encoder": encoder,
        "model.image_encoder": encoder,
        "model.self_correlation": {"pooled": 4, "hidden": 8, "out_channels": 8},
        "model.correspondence": {"embed": 8, "blocks": 1, "hidden": 8, "block": 24},
        "model.generator": {"base_width": 4, "ups": 2, "spade_hidden": 4},
        "model.discriminator": {"base_width": 4},
        "model.losses.mcl.hidden": 8,
        "train_dataloader": data | {"dataset": {"size": (32, 32), "length": 4}},
        "train_cfg": {"max_iters": 2, "val_interval": 0},
        "default_hooks.checkpoint.interval": 2,
    }
    config = load_config(CONFIGS / "unite_scenes.py", options, work_dir=str(tmp_path))
    train(config)
    weights = torch.load(tmp_path / "iter_2.pth", weights_only=True)["state_dict"]
    assert any("correspondence.weights.theta" in name for name in weights)
    assert all(values.isfinite().all() for values in weights.values())
