"""Ranks of a small batch each against one process with the whole batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.distributed import SeparateDDP
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.models.exemplar_gan import unwrap
from mcltoolkit.registry import MODELS
from mcltoolkit.structures import collate
from mcltoolkit.testing.ranks import ranks

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="gloo ranks on CPU; test_gpu.py has the CUDA form"
)

CONFIG = Path(__file__).parents[1] / "configs" / "tiny_scenes.py"
STEPS, RANKS = 5, 4
# by step: a rank without a pair, all paired, no pair at all, ranks with and without
PAIRED = [[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 1]]
SYNCHRONISED = {
    "model.condition_encoder.norm": "syncbn",
    "model.condition_encoder.spade_norm": "syncbn",
    "model.image_encoder.norm": "syncbn",
    "model.image_encoder.spade_norm": "syncbn",
    "model.generator.spade_norm": "syncbn",
    "model.discriminator.norm": "syncbn",
    # all losses of the core, and VGG-19 features
    "model.vgg": {"type": "VGG19Features", "weights": "random", "width_divisor": 16},
    "model.losses.per": {"type": "PerceptualLoss", "layer": "relu2_1", "weight": 1.0},
    "model.losses.cxt": {"type": "ContextualLoss", "layers": {"relu2_1": 1.0}, "pool": {}},
    "model.losses.fcst": {"type": "FeatureConsistencyLoss", "weight": 1.0},
}


class InDouble(torch.nn.Module):
    """Batches in float64, after their checks."""

    def __init__(self, preprocessor):
        super().__init__()
        self.preprocessor = preprocessor

    def forward(self, data, training=False):
        batch = self.preprocessor(data, training)
        return batch.map_tensors(lambda t: t.double() if t.is_floating_point() else t)


def batches():
    scenes = SyntheticScenes(split="train", length=STEPS * RANKS, num_classes=6, size=(32, 32))
    for step, paired in enumerate(PAIRED):
        whole = collate([scenes[step * RANKS + i] for i in range(RANKS)])
        yield replace(whole, paired=torch.tensor(paired, dtype=torch.bool))


def part(batch, index):
    names = {n: getattr(batch, n)[index : index + 1] for n in ("names", "exemplar_names")}
    return replace(batch.map_tensors(lambda t: t[index : index + 1]), **names)


def train(dtype, optimizer, rank=None):
    """Parameters, buffers and generator losses after `STEPS` steps of both optimisers."""
    torch.manual_seed(0)
    config = load_config(CONFIG, SYNCHRONISED)
    model = MODELS.build(config.model).to(dtype).train()
    if dtype == torch.float64:
        model.data_preprocessor = InDouble(model.data_preprocessor)
    trained = model if rank is None else SeparateDDP(model, device_ids=None)
    sides = {side: {"optimizer": optimizer} for side in ("generator", "discriminator")}
    optim = GANOptimWrapperConstructor(sides)(trained)
    for batch in batches():
        log = trained.train_step(batch if rank is None else part(batch, rank), optim)
    with unwrap(trained).without_wrappers():
        state = {k: v.clone() for k, v in model.state_dict().items()}
    return state, {name for name, _ in model.named_parameters()}, log


def train_as_rank(dtype, optimizer):
    state, _, log = train(dtype, optimizer, torch.distributed.get_rank())
    return state, log
