"""Synthetic scenes: exemplar-guided translation with a known right answer, and no files.

The exemplar shows one layout in some style, the condition is another layout, and the truth is the
condition's layout rendered in the exemplar's style. Each class keeps a pattern of its own while
the style changes its colours, so class and match can be read from the image. A warped exemplar
makes the match itself known, position by position.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from mcltoolkit.data.draws import Draw, check_seed, resolve_draw
from mcltoolkit.data.images import labels_to_tensor
from mcltoolkit.data.palette import class_palette, colour_labels
from mcltoolkit.data.scene_layouts import draw_layout
from mcltoolkit.data.scene_styles import PATTERNS, draw_style, render
from mcltoolkit.data.warps import draw_warp, known_positions, warp_picture
from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.registry import DATASETS
from mcltoolkit.structures import Sample

SPLITS = ("train", "val", "test")
EXEMPLARS = ("other", "self", "warped")
SMALLEST = 16
STRONGEST = 0.3


@DATASETS.register_module()
class SyntheticScenes(Dataset[Sample]):
    """Endless seeded scenes; every layout holds every class.

    A `Draw` of the training sampler gives a new scene each time; a plain index gives a fixed one.
    The splits share no scene.

    Args:
        split: `train`, `val` or `test`.
        length: samples of one pass.
        size: (H, W), pixels.
        num_classes: K, 2..12; class k has the k-th pattern.
        seed: of everything.
        exemplar: `other` shows another layout in the truth's style; `self` is the truth itself;
            `warped` is the truth bent smoothly and at random, each sample in its own way, so that
            `Sample.exemplar_positions` is known (for the metric PCK).
        jitter: how far scale, phase and orientation of the patterns vary, see `draw_style`.
        contrast: distance of the two colours of a class, see `draw_style`.
        warp: strength for `exemplar="warped"`, 0..0.3, a share of the image's side, see
            `draw_warp`. At 0.15 copying positions scores about 0.1 in PCK@0.05 and 0.35 in
            PCK@0.1.

    Raises:
        ConfigError: a setting is not allowed.
    """

    def __init__(
        self,
        split: str = "train",
        length: int = 10000,
        size: tuple[int, int] = (64, 64),
        num_classes: int = 6,
        seed: int = 0,
        exemplar: str = "other",
        jitter: float = 1.0,
        contrast: float = 1.0,
        warp: float = 0.15,
    ) -> None:
        for setting, value, allowed in (
            ("split", split, SPLITS),
            ("exemplar", exemplar, EXEMPLARS),
        ):
            if value not in allowed:
                raise ConfigError(
                    f"SyntheticScenes.{setting} is {value!r}{near_matches(value, allowed)}; "
                    f"allowed are {', '.join(allowed)}"
                )
        if not 2 <= num_classes <= len(PATTERNS):
            raise ConfigError(
                f"SyntheticScenes.num_classes is {num_classes}; allowed are 2..{len(PATTERNS)}, "
                f"as many as there are patterns"
            )
        if len(size) != 2 or min(size) < SMALLEST:
            raise ConfigError(
                f"SyntheticScenes.size is {tuple(size)}; allowed are (height, width) of at least "
                f"{SMALLEST} pixels each"
            )
        if length < 1:
            raise ConfigError(f"SyntheticScenes.length is {length}; allowed are values >= 1")
        if min(jitter, contrast) < 0:
            raise ConfigError(
                f"SyntheticScenes has jitter {jitter}, contrast {contrast}; allowed are values >= 0"
            )
        if not 0 <= warp <= STRONGEST:
            raise ConfigError(
                f"SyntheticScenes.warp is {warp}; allowed are 0..{STRONGEST}, a share of the "
                f"image's side, such as 0.15"
            )
        self.split = split
        self.length = length
        self.size = (int(size[0]), int(size[1]))
        self.num_classes = num_classes
        self.seed = check_seed(seed)
        self.exemplar = exemplar
        self.jitter = jitter
        self.contrast = contrast
        self.warp = warp
        self.classes = list(PATTERNS)[:num_classes]
        self.palette = class_palette(num_classes)

    @property
    def metainfo(self) -> dict[str, Any]:
        """What metrics and pictures need: classes, palette, num_classes, ignore_label, and
        where the match is known, `known_match`: what decides it, in words."""
        known = {"known_match": f"smooth warps of strength {self.warp:g}, seed {self.seed}"}
        return {
            **(known if self.exemplar == "warped" else {}),
            "classes": list(self.classes),
            "palette": list(self.palette),
            "num_classes": self.num_classes,
            "ignore_label": None,
        }

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: int | Draw) -> Sample:
        """A scene; the exemplar's labels are given too, and all samples are paired."""
        index, number, rng = resolve_draw(item, self.length, self.seed, SPLITS.index(self.split))
        own = self.exemplar != "other"
        layouts = np.stack(
            [draw_layout(rng, self.size, self.num_classes) for _ in range(1 if own else 2)]
        )
        style = draw_style(rng, self.num_classes, self.jitter, self.contrast)
        images = torch.from_numpy(render(layouts, style))
        labels = labels_to_tensor(layouts)
        name = f"{self.split}_{index:06d}" + ("" if number is None else f"_{number:09d}")
        sample = Sample(
            name=name,
            exemplar=images[-1].clone() if own else images[-1],
            labels=labels[0],
            truth=images[0],
            exemplar_labels=labels[-1],
            exemplar_name=name if own else f"{name}_exemplar",
            paired=True,
        )
        return self._bend(sample, rng) if self.exemplar == "warped" else sample

    def _bend(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with its exemplar warped; what is drawn here comes after all other draws."""
        assert sample.exemplar_labels is not None
        warp = draw_warp(rng, self.warp)
        image, labels = warp_picture(sample.exemplar, sample.exemplar_labels, warp)
        return replace(
            sample,
            exemplar=image,
            exemplar_labels=labels,
            exemplar_name=f"{sample.name}_warped",
            exemplar_positions=known_positions(warp, self.size),
        )


def scene_grid(dataset: SyntheticScenes, count: int = 6, zoom: int = 3) -> np.ndarray:
    """A picture to look at: condition, exemplar's labels, exemplar and truth, a row a sample.

    Args:
        dataset: where the first `count` samples come from.
        count: rows.
        zoom: screen pixels a pixel.

    Returns:
        (rows, columns, 3) uint8.
    """
    gap = 6
    rows = []
    for index in range(count):
        sample = dataset[index]
        assert sample.labels is not None
        assert sample.exemplar_labels is not None
        assert sample.truth is not None
        tiles = [
            colour_labels(sample.labels.numpy(), dataset.palette),
            colour_labels(sample.exemplar_labels.numpy(), dataset.palette),
            *(
                ((image.numpy().transpose(1, 2, 0) + 1) * 127.5).round().astype(np.uint8)
                for image in (sample.exemplar, sample.truth)
            ),
        ]
        padded = [
            np.pad(
                tile.repeat(zoom, 0).repeat(zoom, 1),
                ((gap, gap), (gap, gap), (0, 0)),
                constant_values=255,
            )
            for tile in tiles
        ]
        rows.append(np.concatenate(padded, axis=1))
    return np.concatenate(rows)
