"""Plain words for what a report shows: metrics, baselines and number formats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Meaning:
    """What a metric is called, its unit, how to read it, and which end is better: `higher`,
    `lower` or neither.

    `at` says what the VALUE of a name `NAME@VALUE` is.
    """

    title: str
    unit: str = ""
    words: str = ""
    better: str = ""
    at: str = "at {}"


METRICS = {
    "psnr": Meaning(
        "PSNR of the output",
        "dB",
        "Likeness of output and truth, pixel by pixel. Higher is better; 3 dB more means half the "
        "squared error.",
        better="higher",
    ),
    "ssim": Meaning(
        "SSIM of the output",
        "",
        "Likeness of structure in small windows, 1 for identical images. Higher is better.",
        better="higher",
    ),
    "label_accuracy": Meaning(
        "Label transfer",
        "",
        "The exemplar's class labels, carried over by the learned match: share of positions that "
        "land on the right class. 1 is perfect.",
        better="higher",
    ),
    "label_miou": Meaning(
        "Label transfer, mean IoU",
        "",
        "The same as overlap of each class, averaged over classes, so that small ones count as "
        "much as large ones. 1 is perfect.",
        better="higher",
    ),
    "cycle_error": Meaning(
        "Cycle error",
        "cells",
        "Follow the match to the exemplar and back: how far from the start it ends, in cells of "
        "the match's grid. 0 is perfect.",
        better="lower",
    ),
    "pck": Meaning(
        "Share of right matches",
        "",
        "Where the true match is known (warped scenes): share of places whose match lies near it, "
        "within the part of the grid's longer side that the name says. 1 is perfect.",
        better="higher",
        at="within {}",
    ),
    "match_entropy": Meaning(
        "Spread of the match",
        "",
        "0 where each place copies one place of the exemplar, 1 where it averages all of them.",
    ),
    "match_coverage": Meaning(
        "Coverage of the exemplar",
        "",
        "Share of the exemplar's places that some place of the condition prefers.",
    ),
    "l1": Meaning(
        "Mean absolute error",
        "",
        "Of output against truth, black to white is 1. Lower is better.",
        better="lower",
    ),
    "fid": Meaning(
        "FID",
        "",
        "Distance between the feature statistics of outputs and real images. Lower is better; "
        "small sets give large values.",
        better="lower",
    ),
    "swd": Meaning(
        "Sliced Wasserstein distance",
        "",
        "Distance between small patches of outputs and real images. Lower is better.",
        better="lower",
        at="{} pixels wide",
    ),
    "lpips": Meaning(
        "LPIPS", "", "Perceptual distance to the truth. Lower is better.", better="lower"
    ),
    "kid": Meaning(
        "KID",
        "",
        "Distance between the features of outputs and real images by a kernel; unlike FID unbiased "
        "for small sets, and about 0 for equal ones. Lower is better.",
        better="lower",
    ),
    "kid_std": Meaning("KID, spread over subsets", "", "Standard deviation of KID's subsets."),
    "lpips_diversity": Meaning(
        "Diversity (LPIPS)",
        "",
        "Perceptual distance between outputs of one condition under different exemplars. Higher is "
        "more diverse.",
        better="higher",
    ),
    "style_colour_paper": Meaning(
        "Colour relevance (paper)",
        "",
        "Likeness of output and exemplar in early network features, place by place, as the paper "
        "defines it. 1 is equal.",
        better="higher",
    ),
    "style_texture_paper": Meaning(
        "Texture relevance (paper)",
        "",
        "The same in deeper features, which see textures. 1 is equal.",
        better="higher",
    ),
    "style_colour_released": Meaning(
        "Colour relevance (released script)",
        "",
        "Likeness of the mean features of output and exemplar, whatever their places, as the "
        "authors' script computes it. 1 is equal.",
        better="higher",
    ),
    "style_texture_released": Meaning(
        "Texture relevance (released script)",
        "",
        "The same for how much the features vary. 1 is equal.",
        better="higher",
    ),
    "semantic_paper": Meaning(
        "Semantic consistency (paper)",
        "",
        "Likeness of output and truth in deep network features, place by place, as the paper "
        "defines it. 1 is equal.",
        better="higher",
    ),
    "semantic_released": Meaning(
        "Semantic consistency (released script)",
        "",
        "Likeness of output and truth in the mean deep features of each labelled region, as the "
        "authors' script computes it. 1 is equal.",
        better="higher",
    ),
    "train_seconds": Meaning("Training time", "s", "Wall-clock time of the training alone."),
}

BASELINES = {
    "copy_exemplar": ("if the exemplar is copied", "What handing back the exemplar would score."),
    "untrained": ("of the untrained network", "The same network before its first step."),
    "warped": ("of the warped exemplar", "The match alone, before the generator paints."),
}


def meaning(name: str) -> Meaning:
    """What is known about a metric; of an unknown one, its name in plain writing.

    A prefix up to the last `/` is left out; `NAME_copy_exemplar`, `NAME_untrained` and
    `NAME_warped` are explained as baselines of `NAME`, and `NAME@VALUE` as `NAME` at a value.
    """
    short = name.rsplit("/", 1)[-1]
    if short in METRICS:
        return METRICS[short]
    for suffix, (title, words) in BASELINES.items():
        base = short.removesuffix(f"_{suffix}")
        if base != short:
            known = meaning(base)
            subject = known.title.removesuffix(" of the output")
            return Meaning(f"{subject} {title}", known.unit, words)
    base, _, value = short.partition("@")
    if value and base in METRICS:
        return replace(
            METRICS[base], title=f"{METRICS[base].title} ({METRICS[base].at.format(value)})"
        )
    return Meaning(short.replace("_", " "))


def write_number(value: Any, unit: str = "") -> str:
    """A value as text: four significant digits (of decibels two decimals), whole numbers in full,
    minutes beside long times."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return "not measured" if value is None else str(value)
    if not math.isfinite(value):
        return "not finite"
    if isinstance(value, int):
        text = str(value)
    else:
        text = f"{value:.2f}" if unit == "dB" else _digits(value)
    if unit == "s" and value >= 120:
        minutes, seconds = divmod(round(value), 60)
        return f"{text} s ({minutes} min {seconds} s)"
    return f"{text} {unit}".rstrip()


def _digits(value: float) -> str:
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        places = 3 if value == 0 else min(8, max(0, 3 - math.floor(math.log10(abs(value)))))
        return f"{value:.{places}f}"
    return f"{value:.3e}"


def headline(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(value, title, note) of the few numbers worth a large print: the output's PSNR with its gain
    over each baseline, SSIM and label transfer."""
    short = {name.rsplit("/", 1)[-1]: value for name, value in metrics.items()}
    tiles = []
    for name in ("psnr", "ssim", "label_accuracy"):
        value = short.get(name)
        if not isinstance(value, int | float) or not math.isfinite(value):
            continue
        known = METRICS[name]
        shown = write_number(value, "dB") if name == "psnr" else f"{value:.3f}"
        notes = {
            "psnr": "likeness to the truth",
            "ssim": "likeness of structure; 1 is perfect",
            "label_accuracy": "of positions matched to the right class; 1 is perfect",
        }
        tiles.append((shown, known.title, notes[name]))
        for suffix, against in (("copy_exemplar", "copying the exemplar"),
                                ("untrained", "the untrained network")):  # fmt: skip
            base = short.get(f"{name}_{suffix}")
            if isinstance(base, int | float) and math.isfinite(base) and name == "psnr":
                gain = value - base
                tiles.append((f"{gain:+.2f} dB", f"over {against}", f"which has {base:.2f} dB"))
    return tiles
