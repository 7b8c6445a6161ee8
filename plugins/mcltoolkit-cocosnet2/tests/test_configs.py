"""The configs build at full size on the meta device; a tiny version of the scenes' one trains."""

from pathlib import Path

import pytest
import torch

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import explain
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.losses.audit import dead_losses
from mcltoolkit.metrics import LabelTransfer, MatchEntropy
from mcltoolkit.registry import MODELS
from mcltoolkit.structures import collate

CONFIGS = Path(__file__).parents[1] / "configs"
ENCODER = dict(base_width=4, spade_hidden=4)
TINY = {
    "model.condition_encoder": ENCODER,
    "model.image_encoder": ENCODER,
    "model.self_correlation": dict(pooled=4, hidden=8, out_channels=8),
    "model.correspondence": dict(width=4, embed=4, hidden=4, coarse=dict(embed=8, blocks=1)),
    "model.generator": dict(base_width=4, ups=2, spade_hidden=4),
    "model.discriminator": dict(base_width=4),
    "model.losses.mcl.hidden": 8,
}


@pytest.mark.parametrize(
    ("name", "grid", "reads"),
    [
        ("cocosnet2_scenes.py", "match 64 x 64 to 64 x 64, warped 3 x 64 x 64", 9),
        ("cocosnet2_ade20k_512.py", "match 512 x 512 to 512 x 512, warped 3 x 512 x 512", 12),
        ("compare_hierarchical.py", "match 32 x 32 to 32 x 32, warped 3 x 32 x 32", 9),
    ],
)
def test_configs_build_at_full_size(name, grid, reads):
    found = explain(CONFIGS / name)
    assert found.device == "meta"
    parts = {part.name: part for part in found.parts}
    assert parts["correspondence"].output == grid
    assert parts["correspondence"].plugin == "mcltoolkit_cocosnet2"
    assert parts["generator"].output == grid.split("warped ")[1]
    assert "levels" in {term.name for term in found.terms}
    config = load_config(CONFIGS / name)
    with torch.device("meta"):
        model = MODELS.build({**config.model, "vgg": None, "losses": {}})
    context = reads + config.model.condition_channels
    assert model.translator.generator.context_channels == context


def test_the_tiny_scenes_train():
    config = load_config(CONFIGS / "cocosnet2_scenes.py", TINY)
    torch.manual_seed(0)
    model = MODELS.build(config.model).train()
    scenes = SyntheticScenes(split="train", length=4, size=(32, 32))
    wrapper = GANOptimWrapperConstructor(
        {side: dict(optimizer=config.optim_wrapper[side].optimizer) for side in
         ("generator", "discriminator")}
    )(model)  # fmt: skip
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for step in range(2):
        log = model.train_step(collate([scenes[2 * step], scenes[2 * step + 1]]), wrapper)
        assert all(torch.isfinite(value) for value in log.values())
    assert {"loss_levels", "loss_mask", "loss_cyc", "loss_adv"} <= set(log)
    still = [
        name
        for name, p in model.named_parameters()
        if name.startswith("translator.correspondence") and torch.equal(p, before[name])
    ]
    assert not still
    _, losses = model.generator_losses(model.data_preprocessor(collate([scenes[0]]), True))
    levels = {"levels": losses["levels"]}
    for part in ("features", "search", "coarse"):
        own = [p for n, p in model.translator.correspondence.named_parameters() if part in n]
        assert not dead_losses(levels, own), part

    model.eval()
    predictions = model.test_step(collate([scenes[0], scenes[1]]))
    for metric in (LabelTransfer(), MatchEntropy()):
        metric.process(None, predictions)
        assert metric.evaluate(2)
