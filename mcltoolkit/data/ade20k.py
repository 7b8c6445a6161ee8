"""ADE20K scene parsing (Zhou et al., CVPR 2017) as CoCosNet uses it: 150 classes and "unknown"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mcltoolkit.data.conditions import Colours
from mcltoolkit.data.exemplar_dataset import Step
from mcltoolkit.data.exemplars import ExemplarChoice
from mcltoolkit.data.folder import FolderDataset
from mcltoolkit.errors import DataError
from mcltoolkit.registry import DATASETS

CLASSES = tuple(
    name.strip()
    for name in """
    unknown, wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet,
    sidewalk, person, earth, door, table, mountain, plant, curtain, chair, car, water, painting,
    sofa, shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp,
    bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, sink,
    skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
    screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill,
    bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar,
    arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
    television, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle,
    buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
    swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food,
    step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket,
    sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,
    monitor, bulletin board, shower, radiator, glass, clock, flag
    """.replace("\n", " ").split(",")
)


@DATASETS.register_module()
class ADE20K(FolderDataset):
    """ADE20K in its public layout (ADEChallengeData2016) or in the flat one of CoCosNet.

        public: images/{training,validation}/NAME.jpg, annotations/{training,validation}/NAME.png
        flat:   {training,validation}/NAME.jpg and NAME.png side by side

    Labels are 0..150 as stored: 0 is unknown (the ignore label), 151 classes in all. Channel k of
    the one-hot condition is label k, unknown included, as in the released networks.

    Args:
        data_root: the folder with `images` and `annotations`, or with the splits.
        split: `training` or `validation`.
        exemplar_list: such as CoCosNet's `ade20k_ref.txt` (training) and `ade20k_ref_test.txt`;
            the conditions lie in the split, the exemplars in `exemplar_split`.
        listed_only: use only the conditions that the list names; None does so outside training.
        palette, geometry, exemplar_geometry, exemplar_choice, max_samples, seed: see
            `FolderDataset`.

    Raises:
        DataError: neither layout is there, or see `FolderDataset`.
    """

    def __init__(
        self,
        data_root: str | Path,
        split: str = "training",
        exemplar_list: str | None = None,
        exemplar_split: str = "training",
        listed_only: bool | None = None,
        palette: Colours | None = None,
        geometry: Iterable[Step] = (),
        exemplar_geometry: Iterable[Step] | None = None,
        exemplar_choice: ExemplarChoice | Mapping[str, Any] | str = "recipe",
        max_samples: int | None = None,
        seed: int = 0,
    ) -> None:
        root = Path(data_root)
        if (root / "images").is_dir():
            images, annotations = "images/{split}", "annotations/{split}"
        elif not root.is_dir() or (root / split).is_dir():
            images = annotations = "{split}"
        else:
            raise DataError(
                f"{root} is not ADE20K: neither {root / 'images' / split} (public layout) nor "
                f"{root / split} (flat layout) exists; correct split or data_root (--data-root)"
            )
        super().__init__(
            root,
            split=split,
            num_classes=len(CLASSES),
            images=images,
            annotations=annotations,
            image_suffixes=(".jpg",),
            exemplar_list=exemplar_list,
            exemplar_split=exemplar_split,
            listed_only=split != "training" if listed_only is None else listed_only,
            classes=CLASSES,
            palette=palette,
            ignore_label=0,
            geometry=geometry,
            exemplar_geometry=exemplar_geometry,
            exemplar_choice=exemplar_choice,
            max_samples=max_samples,
            seed=seed,
        )
