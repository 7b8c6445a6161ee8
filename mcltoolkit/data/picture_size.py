"""At which size a data set gives its pictures, told from its config alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOADERS = ("test_dataloader", "val_dataloader", "train_dataloader")


def dataset_size(dataset: Mapping[str, Any]) -> tuple[int, int] | None:
    """(H, W) of a data set's pictures, or None where its config fixes none.

    The last step of the geometry that sets both sides decides, since it comes last; a data set
    that makes its pictures (`size`) is asked where there is no such step.

    Args:
        dataset: config of one data set.
    """
    for step in reversed(list(dataset.get("geometry") or ())):
        if step.get("height") and step.get("width"):
            return int(step["height"]), int(step["width"])
    size = dataset.get("size")
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) else None


def config_size(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """`dataset_size` of the first of the test, validation and training sets that tells one.

    Args:
        config: a whole config, or plain data of one.
    """
    for loader in LOADERS:
        if size := dataset_size((config.get(loader) or {}).get("dataset") or {}):
            return size
    return None
