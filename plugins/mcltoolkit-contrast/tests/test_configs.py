"""Every config loads and builds at its full size without memory; a tiny version of each trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import lay_out
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.losses.audit import dead_losses
from mcltoolkit.registry import MODELS
from mcltoolkit.structures import collate

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py"))
# the term that is this package's own, and its class
OURS = {
    "compare_small": ("mcl", "MarginalContrastiveLoss"),
    "compare_small_monce": ("mcl", "ModulatedContrastLoss"),
    "compare_small_patchnce": ("mcl", "PatchNCELoss"),
    "contrast_ade20k": ("per", "ModulatedContrastLoss"),
    "contrast_ade20k_patch_nce": ("per", "PatchNCELoss"),
    "contrast_scenes": ("mcl", "ModulatedContrastLoss"),
    "contrast_scenes_cosine_margin": ("mcl", "CosineMarginContrastiveLoss"),
    "contrast_scenes_multiplicative_margin": ("mcl", "MultiplicativeMarginContrastiveLoss"),
    "contrast_scenes_patch_nce": ("mcl", "PatchNCELoss"),
}


def load(name):
    weights = "random" if "ade20k" in name else None
    return load_config(CONFIGS / f"{name}.py", vgg_weights=weights)


@pytest.mark.parametrize("name", NAMES)
def test_config_builds_at_full_size(name):
    model = lay_out(load(name))
    term, made_by = OURS[name]
    assert type(model.losses.terms[term]).__name__ == made_by


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_version_trains_two_steps(name):
    config = load(name)
    model = config.model
    for encoder in ("condition_encoder", "image_encoder"):
        model[encoder].update(base_width=4, spade_hidden=4, spade_blocks=1, spade_norm="pono")
    model.correspondence.update(embed=8, blocks=0, hidden=None)
    model.self_correlation.update(pooled=4, hidden=8, out_channels=8)
    model.generator.update(base_width=4, ups=2, spade_hidden=4, attention=False)
    model.discriminator.update(base_width=4, layers=2, scales=1, attention=False)
    term = model.losses[OURS[name][0]]
    term.update(hidden=8)
    if model.vgg:
        model.vgg.update(weights="random", width_divisor=16)
        if OURS[name][1] in ("PatchNCELoss", "ModulatedContrastLoss"):
            term.update(width_divisor=16)
    if model.losses.get("mask"):
        model.losses.mask.update(ignore_label=None)
    model.update(condition_channels=6)
    torch.manual_seed(0)
    gan = MODELS.build(model).train()
    sides = {side: config.optim_wrapper[side] for side in ("generator", "discriminator")}
    optimisers = GANOptimWrapperConstructor(sides)(gan)
    scenes = SyntheticScenes(split="train", length=4, size=(32, 32))
    before = [p.detach().clone() for p in gan.losses.parameters()]
    for step in range(2):
        log = gan.train_step(collate([scenes[2 * step], scenes[2 * step + 1]]), optimisers)
        assert all(value.isfinite() for value in log.values())
        assert log[f"loss_{OURS[name][0]}"] > 0
    after = gan.losses.parameters()
    assert all(not torch.equal(new, old) for new, old in zip(after, before, strict=True))
    batch = gan.data_preprocessor(collate([scenes[0], scenes[1]]), True)
    _, losses = gan.generator_losses(batch)
    ours = {OURS[name][0]: losses[OURS[name][0]]}
    assert not dead_losses(ours, list(gan.translator.parameters()))


def test_comparison_names_every_loss_of_the_package():
    matrix = yaml.safe_load((CONFIGS / "compare.yaml").read_text())
    named = set()
    for row in matrix["changes"].values():
        if "config" in row:
            named.add(OURS[Path(row["config"]).stem][1])
        named.add(row.get("model.losses.mcl.type"))
    assert named >= {
        "CosineMarginContrastiveLoss",
        "ModulatedContrastLoss",
        "MultiplicativeMarginContrastiveLoss",
        "PatchNCELoss",
    }
