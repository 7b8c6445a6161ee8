"""A training step on GPUs, on paper: counts, data sheets and a few assumptions.

    python benchmarks/scaling.py                       # prints the tables
    python benchmarks/scaling.py --write docs/scaling.md

The tables of docs/scaling.md stand between `<!-- NAME -->` and `<!-- end -->`. Nothing here was
measured on a GPU.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.count import count
from benchmarks.results import filled
from benchmarks.whole import FULL_SIZE
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.files import write_atomically

PER_GPU = 8  # batch; the published settings are 32 on 4 GPUs
GPUS = (1, 4, 32, 256)
NODE = 8  # GPUs of a machine
# assumptions, of the figures of the data sheets
OF_PEAK, OF_BANDWIDTH, OF_LINK = 0.4, 0.8, 0.7
BACKWARD = 2 / 3  # share of the step in which gradients can be exchanged
BUCKET_GB = 0.025  # DDP's: the last one has nothing to hide behind
LATENCY = {1: 0.0, 4: 30e-6, 32: 60e-6, 256: 100e-6}  # seconds of a small exchange
BYTES = {"bf16": 2, "tf32": 4, "fp32": 4}


@dataclass(frozen=True)
class GPU:
    """Of the data sheet: dense TFLOP/s by precision, TB/s of memory, GB/s to the other GPUs of the
    machine (one direction) and of one network adapter, one of which each GPU has."""

    tflops: Mapping[str, float]
    memory: float
    link: float
    network: float


SHEETS = {
    "A100": GPU({"bf16": 312, "tf32": 156, "fp32": 19.5}, 2.0, 300, 25),
    "H100": GPU({"bf16": 989, "tf32": 494.5, "fp32": 67}, 3.35, 450, 50),
}


@dataclass(frozen=True)
class Step:
    """Seconds of one step of a GPU."""

    products: float
    others: float
    optimiser: float
    exchange: float
    exposed: float
    statistics: float

    @property
    def total(self) -> float:
        """What follows one after the other."""
        return self.products + self.others + self.optimiser + self.exposed + self.statistics


def step(found: Mapping[str, Any], gpu: GPU, precision: str, gpus: int, batch: int) -> Step:
    """The time of a step of `gpus` GPUs with `batch` samples each.

    Args:
        found: of `count.count`, one sample.
        precision: `bf16`, `tf32` or `fp32`; weights and moments are float32.
    """
    products = batch * found["operations"] / 1e3 / (OF_PEAK * gpu.tflops[precision])
    bandwidth = OF_BANDWIDTH * gpu.memory * 1e3
    others = batch * found["traffic_of_others_gb"] * BYTES[precision] / 4 / bandwidth
    optimiser = found["optimiser_traffic_gb"] / bandwidth
    speed = OF_LINK * (gpu.link if gpus <= NODE else min(gpu.link, NODE * gpu.network))
    gigabytes = 2 * (gpus - 1) / gpus * found["all_reduce_gb"]
    exchange = gigabytes / speed
    hidden = BACKWARD * (products + others)
    last = 2 * (gpus - 1) / gpus * BUCKET_GB / speed
    exposed = max(exchange - hidden, last) if gpus > 1 else 0.0
    statistics = found["synchronisations"] * LATENCY[gpus]
    return Step(products, others, optimiser, exchange, exposed, statistics)


def table_of_counts(counts: Sequence[Mapping[str, Any]]) -> str:
    """What a step of one sample does, by network and in all."""
    rows = [["", *(f"`{found['config']}`" for found in counts)]]
    parts = dict.fromkeys(part for found in counts for part in found["forward"])
    for part in parts:
        cells = [found["forward"].get(part, 0.0) for found in counts]
        rows.append([f"{part}, forward, GFLOP", *(f"{cell:.0f}" for cell in cells)])
    for label, key, form in (
        ("generator step with backward, GFLOP", "generator_step", "{:.0f}"),
        ("discriminator step with backward, GFLOP", "discriminator_step", "{:.0f}"),
        ("**both, GFLOP**", "operations", "**{:.0f}**"),
        ("read and written by products and convolutions, float32, GB",
         "traffic_of_products_gb", "{:.0f}"),
        ("read and written by all else, float32, GB", "traffic_of_others_gb", "{:.0f}"),
        ("kept for the backward pass, float32, GB", "kept_gb", "{:.1f}"),
        ("weights, gradients and moments, GB", "state_gb", "{:.2f}"),
        ("read and written by Adam, GB", "optimiser_traffic_gb", "{:.1f}"),
        ("gradients to exchange, GB", "all_reduce_gb", "{:.2f}"),
        ("exchanges of batch statistics", "synchronisations", "{:d}"),
    ):  # fmt: skip
        rows.append([label, *(form.format(found[key]) for found in counts)])
    return _markdown(rows)


def table_of_one(counts: Sequence[Mapping[str, Any]]) -> str:
    """One GPU, by precision: which share of the step is arithmetic and which is memory."""
    rows = [["GPU, precision", "model", "products, ms", "other kernels, ms", "Adam, ms",
             "step, ms", "samples/s"]]  # fmt: skip
    for name, gpu in SHEETS.items():
        for precision in ("fp32", "tf32", "bf16"):
            for found in counts:
                made = step(found, gpu, precision, 1, PER_GPU)
                parts = (made.products, made.others, made.optimiser, made.total)
                rows.append([f"{name}, {precision}", f"`{found['config']}`",
                             *(f"{1e3 * part:.0f}" for part in parts),
                             f"{PER_GPU / made.total:.0f}"])  # fmt: skip
    return _markdown(rows)


def table_of_many(counts: Sequence[Mapping[str, Any]]) -> str:
    """bf16 on more and more GPUs."""
    rows = [["GPUs", "model", "step, ms", "exchange, ms", "of it not hidden, ms",
             "batch statistics, ms", "samples/s", "of linear"]]  # fmt: skip
    for name, gpu in SHEETS.items():
        for gpus in GPUS:
            for found in counts:
                alone = step(found, gpu, "bf16", 1, PER_GPU).total
                made = step(found, gpu, "bf16", gpus, PER_GPU)
                cells = (made.total, made.exchange, made.exposed, made.statistics)
                rows.append([f"{gpus} x {name}", f"`{found['config']}`",
                             *(f"{1e3 * cell:.1f}" for cell in cells),
                             f"{gpus * PER_GPU / made.total:.0f}",
                             f"{alone / made.total:.1%}"])  # fmt: skip
    return _markdown(rows)


def table_of_input(counts: Sequence[Mapping[str, Any]], rate: float) -> str:
    """Workers that a GPU needs, where one gives `rate` samples a second."""
    rows = [["GPU, bf16", "model", "samples/s a GPU", "workers a GPU"]]
    for name, gpu in SHEETS.items():
        for found in counts:
            samples = PER_GPU / step(found, gpu, "bf16", 1, PER_GPU).total
            rows.append([name, f"`{found['config']}`", f"{samples:.0f}",
                         f"{math.ceil(samples / rate)}"])  # fmt: skip
    return _markdown(rows)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(rate: float) -> dict[str, str]:
    """All of the page's, by name."""
    plain = [count(config, plain=True) for config in FULL_SIZE]
    ours = [count(config) for config in FULL_SIZE]
    return {
        "plain counts": table_of_counts(plain),
        "counts": table_of_counts(ours),
        "one GPU": table_of_one(ours),
        "many GPUs": table_of_many(ours),
        "input": table_of_input(ours, rate),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", metavar="PAGE", help="put the tables into a page")
    parser.add_argument("--rate", type=float, default=23.0, metavar="SAMPLES",
                        help="a second, of one data worker (benchmarks/input_side.py)")  # fmt: skip
    options = parser.parse_args()
    made = tables(options.rate)
    if options.write:
        page = Path(options.write)
        write_atomically(page, filled(page.read_text(), made).encode())
    else:
        for name, table in made.items():
            print(f"{name}\n\n{table}\n")


if __name__ == "__main__":
    run_tool(main)
