"""Transport between the features that a cosine match was trained with: the solver alone.

    python benchmarks/rematch.py RUN [RUN ...]

RUN is a training's work directory (its `config.py` and newest checkpoint) with label maps, a cosine
match and a square grid. For each rho, with uniform weights and validation samples: label transfer,
the share of the exemplar's positions that are some position's first choice, and the largest sum of
weights that an exemplar position is given (1 for each if all were used alike). Means over the runs.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from mcltoolkit_unite.match import TransportMatch

from mcltoolkit.engine.config import load_config
from mcltoolkit.registry import DATASETS, MODELS
from mcltoolkit.structures import Batch, Match, collate

RHOS = (0.0, 0.02, 0.1, 0.5, math.inf)


def scores(match: Match, batch: Batch) -> tuple[float, float, float]:
    def on_grid(condition, grid):
        return F.interpolate(condition, size=grid, mode="nearest").flatten(2)

    wanted = on_grid(batch.condition, match.grid).argmax(1)
    found = match.warp(on_grid(batch.exemplar_condition, match.exemplar_grid)).argmax(1)
    weights = match.probabilities()
    chosen = [len(sample.unique()) / weights.shape[2] for sample in weights.argmax(2)]
    largest = weights.sum(1).amax(1).mean()
    return float((found == wanted).float().mean()), sum(chosen) / len(chosen), float(largest)


@torch.no_grad()
def rematch(run: Path, samples: int, iterations: int) -> list[list[float]]:
    config = load_config(run / "config.py")
    model = MODELS.build(config.model).eval()
    file = max(run.glob("iter_*.pth"), key=lambda path: path.stat().st_mtime)
    state = torch.load(file, weights_only=True)["state_dict"]
    prefix = "translator."
    model.translator.load_state_dict(
        {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    )
    data = DATASETS.build(config.val_dataloader.dataset)
    batch = model.data_preprocessor(collate([data[i] for i in range(samples)]), False)
    softmax = model.translator(batch, frozenset()).alignment.match
    uniform = torch.full((samples, softmax.queries.shape[2]), -math.log(softmax.queries.shape[2]))
    found = []
    for rho in RHOS:
        match = TransportMatch(
            softmax.queries, softmax.keys, uniform, uniform, softmax.grid, softmax.exemplar_grid,
            softmax.temperature, rho, iterations, 512,
        )  # fmt: skip
        found.append(list(scores(match, batch)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    options = parser.parse_args()
    found = [rematch(run, options.samples, options.iterations) for run in options.runs]
    print("| rho | label transfer | first choices | largest sum |\n| --- | --- | --- | --- |")
    for rho, row in zip(RHOS, torch.tensor(found).mean(0).tolist(), strict=True):
        print(f"| {rho} | {row[0]:.3f} | {row[1]:.2f} | {row[2]:.1f} |")


if __name__ == "__main__":
    main()
