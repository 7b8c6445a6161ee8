"""Operations, bytes and parameters of a training step, counted without computing it.

    python benchmarks/count.py                                # full size, both published models
    python benchmarks/count.py --config mclnet_ade20k --plain --json counts.json

The step runs on torch's meta device, where tensors have shapes and no values. An operation is one
multiplication or one addition of a matrix product or convolution (torch's `FlopCounterMode`). Bytes
are what each kernel reads and writes when run one by one, nothing kept in a cache in between:
an upper bound of the traffic of memory. Kept are the tensors that wait for the backward pass.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from benchmarks.plain_model import plain_model
from benchmarks.whole import FULL, FULL_SIZE, build, random_batch
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.losses.vgg import VGG19Features
from mcltoolkit.models import ExemplarGAN
from mcltoolkit.structures import Translation

GENERATOR, DISCRIMINATOR = ("translator", "losses"), ("discriminator",)
PARTS = {
    "condition encoder": "translator.condition_encoder",
    "image encoder": "translator.image_encoder",
    "self-correlation": "translator.self_correlation",
    "correspondence": "translator.correspondence",
    "generator": "translator.generator",
    "discriminator": "discriminator",
}
FEATURES = "VGG-19"
_UNWRITTEN = ("empty", "new_empty", "empty_like", "empty_strided", "detach")


class Traffic(TorchDispatchMode):
    """Sums what kernels read and write; views cost nothing.

    Attributes:
        products: bytes of matrix products and convolutions, which are rarely bound by them.
        others: bytes of all other kernels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.products = self.others = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func._schema.name.split("::")[1] not in _UNWRITTEN:
            moved = sum(map(_size, tree_leaves((args, kwargs, result))))
            if func._overloadpacket in flop_registry:
                self.products += moved
            else:
                self.others += moved
        return result


def _size(value: object) -> int:
    """Bytes; of an expanded tensor those that there are."""
    if not isinstance(value, Tensor):
        return 0
    return min(value.numel() * value.element_size(), value.untyped_storage().nbytes())


@contextmanager
def kept(model: nn.Module) -> Iterator[Callable[[], int]]:
    """Yields a function that tells the bytes which autograd keeps, without parameters."""
    own = {id_of(t) for t in (*model.parameters(), *model.buffers())}
    found: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage  # held, so that its number is not given again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield lambda: sum(storage.nbytes() for storage in found.values())


def id_of(tensor: Tensor) -> int:
    """Which memory it lies in."""
    return int(tensor.untyped_storage()._cdata)


@contextmanager
def on_meta() -> Iterator[None]:
    """New tensors have no values; random weights and autocast, which need some, are left out."""
    no_weights = patch.object(VGG19Features, "_fill_random", lambda *_: None)
    no_autocast = patch.object(torch, "autocast", lambda *_, **__: nullcontext())
    with torch.device("meta"), no_weights, no_autocast:
        yield


@lru_cache
def count(config: str, size: tuple[int, int, int] = FULL, plain: bool = False) -> dict[str, Any]:
    """Counts of one training step.

    Args:
        config: name in configs/, or a path.
        size: side of the image, classes, batch.
        plain: of the plain formulation.

    Returns:
        `forward`: GFLOP by network; `generator_step`, `discriminator_step`: GFLOP with their
        backward passes; `traffic_...` and `kept_gb` in float32; `parameters` in millions by
        optimiser.
    """
    drawn = random_batch(0, size)
    with on_meta(), plain_model() if plain else nullcontext():
        model = build(config, size[1], {})
        model.train()
        batch = drawn.to("meta").with_one_hot(size[1])
        counter, traffic = FlopCounterMode(display=False), Traffic()
        with traffic, counter, kept(model) as held:
            translation, losses = model.generator_losses(batch)
            forward = _forward(counter)
            activations = held()
            torch.stack(list(losses.values())).sum().backward()
        judged = _discriminator_step(model, batch, translation, traffic)
        parameters = {
            side: sum(
                p.numel()
                for name in children
                for p in getattr(model, name).parameters()
                if p.requires_grad
            )
            for side, children in (("generator", GENERATOR), ("discriminator", DISCRIMINATOR))
        }
    total = sum(parameters.values())
    return {
        "config": config,
        "size": list(size),
        "plain": plain,
        "forward": {name: round(value / 1e9, 1) for name, value in forward.items()},
        "generator_step": round(counter.get_total_flops() / 1e9, 1),
        "discriminator_step": round(judged / 1e9, 1),
        "operations": round((counter.get_total_flops() + judged) / 1e9, 1),
        "traffic_of_products_gb": round(traffic.products / 1e9, 1),
        "traffic_of_others_gb": round(traffic.others / 1e9, 1),
        "kept_gb": round(activations / 1e9, 2),
        "parameters": {side: round(number / 1e6, 1) for side, number in parameters.items()},
        # weights, gradients and two moments; Adam reads all four and writes three
        "state_gb": round(16 * total / 1e9, 2),
        "optimiser_traffic_gb": round(28 * total / 1e9, 2),
        "all_reduce_gb": round(4 * total / 1e9, 3),
        "synchronisations": _synchronisations(model),
    }


def _discriminator_step(
    model: ExemplarGAN, batch: Any, translation: Translation, traffic: Traffic
) -> int:
    counter = FlopCounterMode(display=False)
    with traffic, counter:
        terms = model.discriminator_losses(batch, translation.fake)
        torch.stack(list(terms.values())).sum().backward()
    return int(counter.get_total_flops())


def _synchronisations(model: ExemplarGAN) -> int:
    """Exchanges of batch statistics in a step: one a norm and pass, forward and backward."""

    def norms(part: nn.Module | None) -> int:
        modules = [] if part is None else part.modules()
        return sum("SyncBatchNorm" in type(module).__name__ for module in modules)

    # the image encoder has two passes: the exemplar and the truth
    return 2 * (norms(model) + norms(model.translator.image_encoder))


def _forward(counter: FlopCounterMode) -> dict[str, int]:
    by_module = counter.get_flop_counts()
    found = {
        name: sum(by_module.get(f"ExemplarGAN.{path}", {}).values()) for name, path in PARTS.items()
    }
    found[FEATURES] = sum(by_module.get("VGG19Features", {}).values())
    found["losses and the rest"] = counter.get_total_flops() - sum(found.values())
    return {name: value for name, value in found.items() if value}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", action="append", help="name in configs/, or a path")
    parser.add_argument("--plain", action="store_true", help="the plain formulation")
    parser.add_argument("--size", type=int, nargs=3, default=FULL,
                        metavar=("SIDE", "CLASSES", "BATCH"))  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write the counts")
    options = parser.parse_args()
    names = options.config or FULL_SIZE
    counts = [count(name, tuple(options.size), options.plain) for name in names]
    table = Table(title="one training step")
    for title in ("", *names):
        table.add_column(title, justify="left" if not title else "right")
    parts = dict.fromkeys(part for found in counts for part in found["forward"])
    for part in parts:
        cells = (found["forward"].get(part, 0.0) for found in counts)
        table.add_row(f"{part}, forward, GFLOP", *(f"{cell:.0f}" for cell in cells))
    for key in counts[0]:
        if isinstance(counts[0][key], int | float) and key != "plain":
            table.add_row(key.replace("_", " "), *(f"{found[key]:g}" for found in counts))
    Console().print(table)
    if options.json:
        Path(options.json).write_text(json.dumps(counts, indent=2) + "\n")


if __name__ == "__main__":
    run_tool(main)
