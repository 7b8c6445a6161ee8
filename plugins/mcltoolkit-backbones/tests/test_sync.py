"""Batch norm over ranks: two CPU ranks are one process with the whole batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mcltoolkit_backbones import TimmEncoder
from mcltoolkit_backbones.sync import synchronise

from mcltoolkit.layers import SyncBatchNorm

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the way of CPUs")
MODEL = "test_byobnet"  # fuses activations into its norms


def network_and_batch():
    torch.manual_seed(0)
    encoder = TimmEncoder(3, MODEL, out_channels=8).double()
    return encoder.backbone.train(), torch.randn(2, 3, 64, 64).double()


def one_rank(rank, folder):
    meeting = (folder / "meeting").as_uri()
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    network, x = network_and_batch()
    network = synchronise(network)
    out = network(x[rank : rank + 1])[-1]
    out.square().sum().backward()
    grads = [p.grad for p in network.parameters()]
    for grad in grads:
        dist.all_reduce(grad)
    torch.save((out.detach(), grads, network.state_dict()), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_are_one_process_with_the_whole_batch(tmp_path):
    commands = [[sys.executable, __file__, str(rank), str(tmp_path)] for rank in range(2)]
    running = [subprocess.Popen(command) for command in commands]
    network, x = network_and_batch()
    out = network(x)[-1]
    out.square().sum().backward()
    assert [process.wait() for process in running] == [0, 0]
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    torch.testing.assert_close(torch.cat([r[0] for r in ranks]), out.detach())
    for ours, parameter in zip(ranks[0][1], network.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad)
    state = network.state_dict()
    assert ranks[0][2].keys() == state.keys()
    for name, value in ranks[1][2].items():
        torch.testing.assert_close(value, state[name])


def test_every_batch_norm_is_replaced_and_alone_nothing_changes():
    torch.manual_seed(0)
    plain = TimmEncoder(3, MODEL, out_channels=8)
    torch.manual_seed(0)
    synchronised = TimmEncoder(3, MODEL, out_channels=8, sync_batchnorm=True)
    kinds = {type(m) for m in synchronised.backbone.modules() if hasattr(m, "running_mean")}
    assert all(issubclass(kind, SyncBatchNorm) for kind in kinds)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(synchronised(x), plain(x))
    assert list(synchronised.state_dict()) == list(plain.state_dict())


if __name__ == "__main__":
    one_rank(int(sys.argv[1]), Path(sys.argv[2]))
