"""What only GPUs show: NCCL ranks, torch's SyncBatchNorm, shards on CUDA."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.distributed import SeparateDDP
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.engine.sharding import SeparateFSDP
from mcltoolkit.layers import build_norm
from mcltoolkit.registry import MODELS
from mcltoolkit.structures import collate

GPUS = torch.cuda.device_count()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(GPUS < 2, reason=f"NCCL ranks need 2 GPUs, found {GPUS}"),
]


def as_rank(rank, meeting, function, results):
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", meeting, rank=rank, world_size=2)
    results[rank] = function(rank)
    dist.destroy_process_group()


@pytest.fixture
def on_gpus(tmp_path):
    """Results of a function by rank, on two GPUs."""

    def run(function):
        with mp.get_context("spawn").Manager() as manager:
            results = manager.dict()
            meeting = (tmp_path / "meeting").as_uri()
            mp.spawn(as_rank, (meeting, function, results), nprocs=2)
            return [results[rank] for rank in range(2)]

    return run


def normalised(rank):
    norm = build_norm("syncbn", 3).cuda()
    assert type(norm) is nn.SyncBatchNorm
    x = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    return norm(x.chunk(2)[rank].cuda()).cpu(), norm.running_var.cpu()


def test_synchronised_batch_norm_is_torchs_and_spans_the_gpus(on_gpus):
    (first, variance), (second, _) = on_gpus(normalised)
    x = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    norm = nn.BatchNorm2d(3, affine=False)
    torch.testing.assert_close(torch.cat([first, second]), norm(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(variance, norm.running_var, atol=1e-5, rtol=1e-5)


def trained(rank):
    from pathlib import Path

    tiny = Path(__file__).parents[1] / "configs" / "tiny_scenes.py"
    scenes = SyntheticScenes(split="train", length=4, num_classes=6, size=(32, 32))
    batch = collate([scenes[2 * rank + i] for i in range(2)])
    states = []
    for wrapper in (SeparateDDP, SeparateFSDP):
        torch.manual_seed(0)
        model = MODELS.build(load_config(tiny).model).cuda().train()
        settings = {"device_ids": [rank]} if wrapper is SeparateDDP else {}
        wrapped = wrapper(model, **settings)
        side = {"optimizer": {"type": "SGD", "lr": 1e-3}}
        optim = GANOptimWrapperConstructor({"generator": side, "discriminator": side})(wrapped)
        for _ in range(2):
            wrapped.train_step(batch, optim)
        if wrapper is SeparateFSDP:
            states.append(wrapped.full_state_dict())
        else:
            with model.without_wrappers():
                states.append({k: v.cpu().clone() for k, v in model.state_dict().items()})
    return states


def test_shards_on_gpus_train_as_whole_models_do(on_gpus):
    whole, sharded = on_gpus(trained)[0]
    assert whole.keys() == sharded.keys()
    for name, value in whole.items():
        torch.testing.assert_close(sharded[name], value, atol=1e-4, rtol=1e-3, msg=name)
