"""The package's configs: what they build, that they train, and what the user must fill in."""

from pathlib import Path

import pytest
import torch
from mcltoolkit_backbones import TimmEncoder

from mcltoolkit.ablation import plan, read_matrix
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import explain
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.errors import WeightsError
from mcltoolkit.losses.audit import dead_losses
from mcltoolkit.registry import DATASETS, ENCODERS, MODELS
from mcltoolkit.structures import collate

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
SIDES = ("condition_encoder", "image_encoder")


def parts_of(name, **arguments):
    return {part.name: part for part in explain(CONFIGS / name, **arguments).parts}


def test_the_scenes_config_at_full_size():
    parts = parts_of("backbones_scenes.py")
    for side in SIDES:
        assert (parts[side].component, parts[side].output) == ("TimmEncoder", "64 x 16 x 16")


def test_the_ade20k_config_at_full_size_needs_no_weights_to_be_explained():
    parts = parts_of("backbones_ade20k_dinov2.py")
    assert [parts[side].component for side in SIDES] == ["DomainEncoder", "TimmEncoder"]
    assert {parts[side].output for side in SIDES} == {"256 x 64 x 64"}
    # four blocks of width 384 to 256 channels by factors of 4, 2, 1, 1; four 3x3 convolutions and
    # the last one; the transformer is frozen
    ways_in = sum(384 * 256 * f**2 + 256 for f in (4, 2, 1, 1))
    assert parts["image_encoder"].parameters == ways_in + 5 * (9 * 256 * 256 + 256)


def test_dinov2_is_used_as_its_authors_publish_it():
    config = load_config(CONFIGS / "backbones_ade20k_dinov2.py")
    with torch.device("meta"):
        encoder = ENCODERS.build({**config.model.image_encoder, "in_channels": 3})
    model = encoder.backbone.model
    assert (encoder.normalise, model.num_reg_tokens, model.num_prefix_tokens) == (True, 4, 5)
    assert encoder.mean.shape == (1, 3, 1, 1)
    assert encoder.anatomy.mean == (0.485, 0.456, 0.406)
    assert encoder.anatomy.layers == (2, 5, 8, 11)
    assert model.norm.normalized_shape == (384,)


def test_ade20k_without_weights_says_what_to_fill_in():
    config = load_config(CONFIGS / "backbones_ade20k_dinov2.py")
    settings = {**config.model.image_encoder, "in_channels": 3}
    with pytest.raises(WeightsError, match="dinov2 has no weights; set the encoder's `weights`"):
        ENCODERS.build(settings)


def test_the_scenes_config_trains():
    config = load_config(
        CONFIGS / "backbones_scenes.py",
        options={
            "train_dataloader.dataset.length": 2,
            "train_dataloader.dataset.size": (64, 64),
            "model.generator.base_width": 4,
            "model.discriminator.base_width": 4,
            "model.condition_encoder.out_channels": 16,
            "model.image_encoder.out_channels": 16,
        },
    )
    torch.manual_seed(0)
    model = MODELS.build(config.model).train()
    wrappers = {k: v for k, v in config.optim_wrapper.items() if k != "constructor"}
    optimisers = GANOptimWrapperConstructor(wrappers)(model)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    batch = collate([dataset[i] for i in range(2)])
    _, losses = model.generator_losses(model.data_preprocessor(batch, True))
    assert dead_losses(losses, list(model.translator.parameters())) == []
    encoders = [getattr(model.translator, side) for side in SIDES]
    assert all(isinstance(encoder, TimmEncoder) for encoder in encoders)
    before = [[p.detach().clone() for p in encoder.parameters()] for encoder in encoders]
    for _ in range(2):
        log = model.train_step(batch, optimisers)
        assert all(torch.isfinite(value) for value in log.values())
    for encoder, weights in zip(encoders, before, strict=True):
        moved = [not torch.equal(p, w) for p, w in zip(encoder.parameters(), weights, strict=True)]
        assert sum(moved) > 0.9 * len(moved)


def test_the_comparison_s_rows_differ_in_the_encoders_alone():
    runs = plan(read_matrix(CONFIGS / "compare.yaml"), "unused")
    assert [run.row for run in runs if run.seed == 0] == [
        "DomainEncoder",
        "convnet",
        "hybrid",
        "ViT",
    ]
    for run in runs:
        assert all(key.split(".")[1] in SIDES for key in run.options if "encoder" in key)
    models = [run.settings["model"] for run in runs[:4]]
    rest = [{k: v for k, v in model.items() if k not in SIDES} for model in models]
    assert all(one == rest[0] for one in rest)
