"""The pictures of README.md and docs/method.md, from synthetic scenes.

python docs/make_figures.py [--checkpoint FILE] [--out docs/pictures]

Without a checkpoint it trains configs/mclnet_scenes.py first (minutes on a laptop).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.checkpoints import latest_checkpoint
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import run_tool, train
from mcltoolkit.inference import TranslationModel, load_model
from mcltoolkit.layers import unit_length
from mcltoolkit.losses import angular_margin
from mcltoolkit.structures import Prediction, collate
from mcltoolkit.visualization import (
    condition_picture,
    draw_match,
    image_grid,
    position_map,
    save_png,
    to_uint8,
)
from mcltoolkit.visualization.images import GRID_COLUMNS, prediction_pictures
from mcltoolkit.visualization.matches import choose_places

ROOT = Path(__file__).resolve().parent.parent
INK, ACCENT, LINE = "#1d2329", "#2b6cb0", "#9aa4ae"
POINTS = {"red": "#d62828", "yellow": "#f2c300", "green": "#18a558"}
ARROW = dict(arrowstyle="-|>", color=LINE, lw=1.4, shrinkA=0, shrinkB=0)
SAMPLES = 4
CELL = 128  # pixels a side of a picture in the grid: captions stay legible on a phone


@torch.no_grad()
def predict(model: TranslationModel, size: tuple[int, int]) -> list[Prediction]:
    """Held-out scenes, translated."""
    dataset = SyntheticScenes("test", SAMPLES, size, model.channels)
    batch = collate([dataset[i] for i in range(SAMPLES)]).with_one_hot(model.channels)
    translation = model.translator(batch, frozenset({"warped_labels"}))
    alignment = translation.alignment
    assert batch.condition is not None
    assert batch.truth is not None
    return [
        Prediction(
            name=f"scene {i + 1}",
            fake=translation.fake[i],
            warped=alignment.warped[i],
            exemplar=batch.exemplar[i],
            condition=batch.condition[i],
            match=alignment.match,
            index=i,
            truth=batch.truth[i],
            labels=None if batch.labels is None else batch.labels[i],
            exemplar_labels=None if batch.exemplar_labels is None else batch.exemplar_labels[i],
        )
        for i in range(SAMPLES)
    ]


def draw_flow(prediction: Prediction, palette: list[tuple[int, int, int]]) -> Figure:
    """Which part makes what, with the pictures of one scene."""
    figure = plt.figure(figsize=(7.6, 3.06))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    half = 0.52
    pictures = {
        "condition x": (condition_picture(prediction, palette), 0.7, 2.75),
        "exemplar y": (to_uint8(prediction.exemplar), 0.7, 0.95),
        "match": (position_map(prediction), 4.95, 1.85),
        "warped exemplar": (to_uint8(prediction.warped), 6.45, 1.85),
        "output": (to_uint8(prediction.fake), 8.55, 1.85),
    }
    for name, (picture, x, y) in pictures.items():
        place = (x - half, x + half, y - half, y + half)
        axes.imshow(picture, extent=place, interpolation="nearest", aspect="auto")
        axes.text(x, y - half - 0.07, name, ha="center", va="top", fontsize=10, color=INK)
    for name, x, y in (
        ("condition\nencoder", 2.05, 2.75),
        ("image\nencoder", 2.05, 0.95),
        ("+ self-\ncorrelation", 3.45, 2.75),
        ("+ self-\ncorrelation", 3.45, 0.95),
        ("gene-\nrator", 7.5, 1.85),
    ):
        style = dict(boxstyle="round,pad=0.45", fc=ACCENT, ec="none")
        axes.text(x, y, name, ha="center", va="center", fontsize=10, color="white", bbox=style)
    for start, end in (
        ((1.25, 2.75), (1.48, 2.75)), ((1.25, 0.95), (1.5, 0.95)),
        ((2.62, 2.75), (2.84, 2.75)), ((2.58, 0.95), (2.84, 0.95)),
        ((4.06, 2.55), (4.4, 2.25)), ((4.06, 1.15), (4.4, 1.45)),
        ((5.5, 1.85), (5.9, 1.85)), ((6.99, 1.85), (7.13, 1.85)), ((7.87, 1.85), (8.01, 1.85)),
    ):  # fmt: skip
        axes.annotate("", end, start, arrowprops=ARROW)
    for xs, ys in (
        ((0.7, 0.7, 7.5, 7.5), (3.3, 3.48, 3.48, 2.2)),
        ((0.7, 0.7, 6.45, 6.45), (0.15, 0.06, 0.06, 1.0)),
    ):
        axes.plot(xs[:-1], ys[:-1], color=LINE, lw=1.4)
        axes.annotate("", (xs[-1], ys[-1]), (xs[-2], ys[-2]), arrowprops=ARROW)
    axes.text(4.1, 3.53, "the condition again", ha="center", fontsize=9, color=LINE)
    axes.text(4.1, 0.11, "colours", ha="center", fontsize=9, color=LINE)
    axes.set(xlim=(0, 9.2), ylim=(0, 3.7))
    return figure


@torch.no_grad()
def draw_self_correlation(model: TranslationModel, prediction: Prediction) -> Figure:
    """An exemplar with three places, and how alike each place of its features is to these."""
    assert model.translator.image_encoder is not None
    features = unit_length(model.translator.image_encoder(prediction.exemplar[None]))[0]
    h, w = features.shape[-2:]
    places = choose_places(replace(prediction, labels=prediction.exemplar_labels), len(POINTS))
    figure, panels = plt.subplots(1, 1 + len(POINTS), figsize=(7.6, 2.15), layout="constrained")
    panels[0].imshow(to_uint8(prediction.exemplar), extent=(0, w, h, 0), interpolation="nearest")
    panels[0].set_title("exemplar", fontsize=10, color=INK)
    for panel, (row, column), (name, colour) in zip(
        panels[1:], places, POINTS.items(), strict=True
    ):
        likeness = torch.einsum("c,chw->hw", features[:, row, column], features)
        panel.imshow(likeness.numpy(), extent=(0, w, h, 0), cmap="magma", interpolation="nearest")
        panel.set_title(f"like the {name} place", fontsize=10, color=INK)
        for axes in (panels[0], panel):
            axes.plot(column + 0.5, row + 0.5, "o", ms=10, mfc=colour, mec="white", mew=2)
    for panel in panels:
        panel.set_axis_off()
    return figure


def draw_margin() -> Figure:
    """What the margin makes of the angle between a positive pair."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0), layout="constrained")
    angle = torch.linspace(0, torch.pi, 400, dtype=torch.float64)
    negatives, temperature = 63, 0.07
    for margin, colour in ((0.0, LINE), (0.25, ACCENT), (0.5, POINTS["red"])):
        own = angular_margin(angle.cos(), margin)
        left.plot(angle.rad2deg(), own, color=colour, label=f"m = {margin:g}")
        logits = own / temperature
        loss = torch.nn.functional.softplus(np.log(negatives) - logits)
        right.plot(angle.rad2deg(), loss, color=colour, label=f"m = {margin:g}")
    _label(left, "in place of the pair's cosine", "cos(θ + m)")
    _label(right, f"loss, {negatives} negatives at 90°, τ = {temperature:g}", "nats")
    right.set(xlim=(0, 90), ylim=(0, 5))
    return figure


def _label(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=10, color=INK)
    axes.set_xlabel("angle θ of the pair (degrees)", fontsize=9)
    axes.set_ylabel(unit, fontsize=9)
    axes.grid(color="#e2e6ea")
    axes.legend(frameon=False, fontsize=9)
    axes.tick_params(labelsize=8)


def save(picture: Figure | np.ndarray, path: Path) -> None:
    """Write a PNG file."""
    if isinstance(picture, Figure):
        picture.set_dpi(110)
        picture.canvas.draw()
        drawn = np.asarray(picture.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
        plt.close(picture)
    else:
        drawn = picture
    save_png(np.ascontiguousarray(drawn), path)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Train if need be, draw, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", help="of a model of synthetic scenes")
    parser.add_argument("--work-dir", default="work_dirs/figures", help="of the training")
    parser.add_argument("--out", default=str(ROOT / "docs" / "pictures"), metavar="FOLDER")
    options = parser.parse_args()
    checkpoint = options.checkpoint
    if checkpoint is None:
        train(load_config(ROOT / "configs" / "mclnet_scenes.py", work_dir=options.work_dir))
        checkpoint = latest_checkpoint(options.work_dir)
    model = load_model(checkpoint, "cpu")
    predictions = predict(model, model.settings["size"])
    assert model.palette is not None
    out = Path(options.out)
    save(draw_flow(predictions[0], model.palette), out / "flow.png")
    save(draw_self_correlation(model, predictions[0]), out / "self-correlation.png")
    save(draw_margin(), out / "margin.png")
    rows = [prediction_pictures(prediction, model.palette) for prediction in predictions[:3]]
    save(image_grid(rows, GRID_COLUMNS, side=CELL), out / "results.png")
    save(draw_match(predictions[0], 6, model.palette), out / "match.png")


if __name__ == "__main__":
    run_tool(main)
