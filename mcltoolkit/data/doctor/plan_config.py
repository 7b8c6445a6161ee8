"""The plan of a data set that a config names already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcltoolkit.data.ade20k import CLASSES
from mcltoolkit.data.doctor.plan import (
    PHOTO_SUFFIXES,
    Plan,
    SplitPlan,
    class_names,
    role_of,
    with_classes,
)
from mcltoolkit.data.folder import SUFFIXES
from mcltoolkit.data.picture_size import dataset_size
from mcltoolkit.errors import ConfigError, DataError

BY_NAMES = ("CelebAHQEdges", "CelebAHQMasks", "DeepFashion")
NAMED = (
    "the folders of this one hold all splits together and no label maps of the photos' names, so "
    "they cannot be given as ROOT either; tools/train.py and tools/test.py check, as they start, "
    "that each photo of train.txt, val.txt and the exemplar lists has its files"
)
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def plan_of_config(config: Mapping[str, Any]) -> Plan:
    """The plan of the data sets in a config's loaders, which must share one folder.

    Args:
        config: with `train_dataloader` and so on; data sets of type FolderDataset or ADE20K.

    Raises:
        ConfigError: another type of data set, or several folders.
        DataError: the folder does not exist.
    """
    datasets = [config[name]["dataset"] for name in LOADERS if config.get(name)]
    if not datasets:
        raise ConfigError(f"the config has no data set; needed is one of {', '.join(LOADERS)}")
    for dataset in datasets:
        kind = dataset.get("type")
        if kind not in ("FolderDataset", "ADE20K"):
            raise ConfigError(
                f"the config's data set is of type {kind}; the doctor reads FolderDataset and "
                f"ADE20K: {NAMED if kind in BY_NAMES else 'give the folder instead, as ROOT'}"
            )
    roots = {str(dataset["data_root"]) for dataset in datasets}
    if len(roots) > 1:
        raise ConfigError(f"the config's data sets lie in {sorted(roots)}; allowed is one folder")
    first = datasets[0]
    root = Path(first["data_root"])
    if not root.is_dir():
        raise DataError(f"data_root {root} is not a folder; correct it, or give ROOT")
    splits: dict[str, SplitPlan] = {}
    for dataset in datasets:
        name = dataset.get("split", "training")
        listed = dataset.get("exemplar_list")
        alone = dataset.get("listed_only")
        if alone is None:
            alone = dataset["type"] == "ADE20K" and name != "training"
        listed = listed and listed.format(split=name)
        source = dataset.get("exemplar_split", "training")
        splits.setdefault(name, SplitPlan(name, role_of(name), listed, bool(alone), source))
    plan = Plan(
        root,
        tuple(splits.values()),
        images=first.get("images", "images/{split}"),
        annotations=first.get("annotations", "annotations/{split}"),
        image_suffixes=tuple(first.get("image_suffixes", SUFFIXES)),
        label_suffix=first.get("label_suffix", ".png"),
        label_map=dict(first.get("label_map") or {}),
        size=dataset_size(first),
    )
    if first["type"] == "ADE20K":
        flat = not (root / "images").is_dir()
        plan = replace(
            plan,
            images="{split}" if flat else plan.images,
            annotations="{split}" if flat else plan.annotations,
            image_suffixes=PHOTO_SUFFIXES[:1],
        )
        return with_classes(plan, len(CLASSES), CLASSES, 0)
    names = first.get("classes", "classes.txt")
    if not isinstance(names, str):
        return with_classes(plan, first.get("num_classes"), names, first.get("ignore_label"))
    told = class_names(root / names)
    return with_classes(plan, first.get("num_classes"), told, first.get("ignore_label"))
