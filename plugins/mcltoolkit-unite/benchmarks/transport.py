"""Time and memory of the blockwise transport against the plain dense formulation.

    python benchmarks/transport.py --sides 16 32 48 --device cpu

Each figure is one forward and backward pass (potentials, a warp there and back) in a process of
its own: the best time of three passes, and the peak above the memory held before the first one
(resident memory on a CPU, allocated memory on a GPU). `kept` is what autograd holds for the
backward pass.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from mcltoolkit_unite.match import TransportMatch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

EPSILON, RHO = 0.05, 0.1


def blockwise(q: Tensor, k: Tensor, log_a: Tensor, log_b: Tensor, options) -> TransportMatch:
    return TransportMatch(
        q, k, log_a, log_b, (0, 0), (0, 0), EPSILON, RHO, options.iterations, options.block
    )


class Dense:
    """The same match on the whole matrix, differentiated by autograd."""

    def __init__(self, q: Tensor, k: Tensor, log_a: Tensor, log_b: Tensor, options) -> None:
        damping = RHO / (RHO + EPSILON)
        logits = (q.mT @ k - 1) / EPSILON
        v = torch.zeros_like(log_b)
        for _ in range(options.iterations):
            u = -damping * (logits + (log_b + v)[:, None]).logsumexp(2)
            v = -damping * (logits + (log_a + u)[:, :, None]).logsumexp(1)
        self.log_plan = logits + (log_a + u)[:, :, None] + (log_b + v)[:, None]

    def warp(self, values: Tensor) -> Tensor:
        return values @ self.log_plan.softmax(2).mT

    def warp_back(self, values: Tensor) -> Tensor:
        return values @ self.log_plan.softmax(1)


def measure(options) -> dict[str, float]:
    torch.manual_seed(0)
    count = options.side**2
    shape = (options.batch, options.channels, count)
    q, k = (F.normalize(torch.randn(shape, device=options.device), dim=1) for _ in range(2))
    log_a, log_b = (torch.randn(len(q), count, device=options.device).log_softmax(1) for _ in "ab")
    inputs = [x.requires_grad_() for x in (q, k, log_a, log_b)]
    values = torch.rand(len(q), 3, count, device=options.device)
    build = {"dense": Dense, "blockwise": blockwise}[options.one]
    kept: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    def step() -> float:
        start = time.perf_counter()
        match = build(*inputs, options)
        warped = match.warp(values)
        loss = (warped.square() + match.warp_back(warped).square()).sum()
        loss.backward()
        found = float(loss)  # waits for a GPU
        times.append(time.perf_counter() - start)
        return found

    times: list[float] = []
    before = peak(options.device)
    losses = [step() for _ in range(3)]
    top = peak(options.device)
    with saved_tensors_hooks(note, lambda x: x):
        step()
    return {
        "seconds": min(times[:3]),
        "peak": top - before,
        "kept": sum(kept.values()),
        "loss": losses[0],
    }


def peak(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[16, 32, 48])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--block", type=int, default=512)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", choices=["dense", "blockwise"], help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options)))
        return
    print("| N | time / dense | peak / dense | kept (MiB) | dense kept (MiB) |")
    print("| --- | --- | --- | --- | --- |")
    for side in options.sides:
        found = {}
        for name in ("dense", "blockwise"):
            command = [sys.executable, __file__, "--one", name, "--side", str(side)]
            for key in ("batch", "channels", "iterations", "block", "device"):
                command += [f"--{key}", str(getattr(options, key))]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name] = json.loads(done.stdout)
        ours, plain = found["blockwise"], found["dense"]
        assert abs(ours["loss"] / plain["loss"] - 1) < 1e-3
        print(
            f"| {side**2} | {ours['seconds'] / plain['seconds']:.2f} "
            f"| {ours['peak'] / max(plain['peak'], 1):.2f} "
            f"| {ours['kept'] / 2**20:.1f} | {plain['kept'] / 2**20:.1f} |"
        )


if __name__ == "__main__":
    main()
