"""Ranks against one process that sees the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import mcltoolkit
from mcltoolkit.layers import SyncBatchNorm

RANKS = 2
SPLITS = {"even": [4, 4], "uneven": [7, 1]}
SHAPES = {"map": (8, 3, 5, 6), "one position": (8, 3, 1, 1)}
STEPS = 2

WORKER = """
import os
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from mcltoolkit.layers.sync_bn import SyncBatchNorm

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
results = {}
for name, case in torch.load(f"{folder}/cases.pt").items():
    norm = SyncBatchNorm(case["x"].shape[2], affine=True).double()
    norm.load_state_dict(case["state"])
    model = DistributedDataParallel(norm)  # refuses subclasses of torch's own on CPU
    outputs, grads = [], []
    for x, weight in zip(case["x"], case["weight"]):
        x = x.split(case["split"])[rank].clone().requires_grad_()
        out = model(x)
        (out * weight.split(case["split"])[rank]).sum().backward()
        outputs.append(out.detach())
        grads.append(x.grad)
    results[name] = dict(
        outputs=outputs,
        grads=grads,
        scale_grad=norm.weight.grad * world,  # DistributedDataParallel averages over ranks
        shift_grad=norm.bias.grad * world,
        state=norm.state_dict(),
        evaluated=norm.eval()(case["x"][0]).detach(),
    )
torch.save(results, f"{folder}/rank{rank}.pt")
dist.barrier()
os._exit(0)  # gloo's threads can abort the interpreter's ordinary shutdown
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sync_bn")
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    cases = {}
    for split_name, split in SPLITS.items():
        for shape_name, shape in SHAPES.items():
            norm = nn.BatchNorm2d(shape[1]).double()
            with torch.no_grad():
                norm.weight.copy_(draw(shape[1]))
                norm.bias.copy_(draw(shape[1]))
            cases[f"{split_name}, {shape_name}"] = {
                "x": draw(STEPS, *shape) * 3 + 50,
                "weight": draw(STEPS, *shape),
                "split": split,
                "state": norm.state_dict(),
            }
    torch.save(cases, folder / "cases.pt")
    (folder / "worker.py").write_text(WORKER)
    package = Path(mcltoolkit.__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, str(folder / "worker.py"), str(rank), str(RANKS), str(folder)],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=240)
            assert worker.returncode == 0, errors
    finally:
        for worker in workers:
            worker.kill()
    return cases, [torch.load(folder / f"rank{rank}.pt") for rank in range(RANKS)]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("shape", SHAPES)
def test_ranks_equal_one_process_with_the_whole_batch(runs, split, shape):
    cases, ranks = runs
    case = cases[f"{split}, {shape}"]
    ours = [rank[f"{split}, {shape}"] for rank in ranks]
    norm = nn.BatchNorm2d(case["x"].shape[2]).double()
    norm.load_state_dict(case["state"])

    def same(a, b):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)

    for step in range(STEPS):
        x = case["x"][step].clone().requires_grad_()
        out = norm(x)
        (out * case["weight"][step]).sum().backward()
        same(torch.cat([rank["outputs"][step] for rank in ours]), out.detach())
        same(torch.cat([rank["grads"][step] for rank in ours]), x.grad)
    evaluated = norm.eval()(case["x"][0]).detach()
    for rank in ours:
        same(rank["scale_grad"], norm.weight.grad)
        same(rank["shift_grad"], norm.bias.grad)
        same(rank["evaluated"], evaluated)
        assert rank["state"].keys() == norm.state_dict().keys()
        for name, value in norm.state_dict().items():
            same(rank["state"][name], value)


def test_alone_it_is_plain_batch_norm():
    x = torch.randn(4, 3, 5, 6)
    ours, plain = SyncBatchNorm(3), nn.BatchNorm2d(3)
    torch.testing.assert_close(ours(x), plain(x))
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())
