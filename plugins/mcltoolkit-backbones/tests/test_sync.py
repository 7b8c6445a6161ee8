"""Batch norm over ranks: two CPU ranks are one process with the whole batch."""

import copy

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mcltoolkit_backbones import TimmEncoder
from mcltoolkit_backbones.sync import synchronise

from mcltoolkit.layers import SyncBatchNorm


def rank_main(rank, network, x, file, folder):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    # what comes from another process shares its memory
    network = synchronise(copy.deepcopy(network).train())
    out = network(x[rank : rank + 1])[-1]
    out.square().sum().backward()
    grads = [p.grad for p in network.parameters()]
    for grad in grads:
        dist.all_reduce(grad)
    torch.save((out.detach(), grads, network.state_dict()), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the CPU's way")
def test_two_ranks_are_one_process_with_the_whole_batch(tmp_path):
    encoder = TimmEncoder(3, "test_byobnet", out_channels=8).double()  # fuses activations in
    network, x = encoder.backbone, torch.randn(2, 3, 64, 64).double()
    alone = copy.deepcopy(network).train()
    out = alone(x)[-1]
    out.square().sum().backward()
    mp.spawn(rank_main, (network, x, tmp_path / "meet", tmp_path), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    torch.testing.assert_close(torch.cat([r[0] for r in ranks]), out.detach())
    for ours, parameter in zip(ranks[0][1], alone.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad)
    state = alone.state_dict()
    assert ranks[0][2].keys() == state.keys()
    for name, value in ranks[1][2].items():
        torch.testing.assert_close(value, state[name])


@pytest.mark.skipif(torch.cuda.is_available(), reason="the CPU's way")
def test_every_batch_norm_is_replaced_and_alone_nothing_changes():
    torch.manual_seed(0)
    plain = TimmEncoder(3, "test_byobnet", out_channels=8)
    torch.manual_seed(0)
    synchronised = TimmEncoder(3, "test_byobnet", out_channels=8, sync_batchnorm=True)
    kinds = {type(m) for m in synchronised.backbone.modules() if hasattr(m, "running_mean")}
    assert all(issubclass(kind, SyncBatchNorm) for kind in kinds)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(synchronised(x), plain(x))
    assert list(synchronised.state_dict()) == list(plain.state_dict())
