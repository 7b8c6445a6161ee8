"""How a model wants its inputs: read off the config that its checkpoint carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcltoolkit.data.picture_size import LOADERS, config_size


@dataclass(frozen=True)
class ConditionForm:
    """What a model takes as a condition.

    Attributes:
        channels: C of the dense condition; K for label maps.
        kind: `labels`, or `maps` (edges, poses, distances).
        label_map: label values to replace when reading, such as {255: 0}.
        refused_labels: classes that a label map may not hold, since their channels were trained to
            lie over those of other classes (glasses over eyes); maps say both.
        classes, palette: K names and display colours, for messages, where they are known.
    """

    channels: int
    kind: str = "labels"
    label_map: Mapping[int, int] | None = None
    classes: Sequence[str] | None = None
    palette: Sequence[tuple[int, int, int]] | None = None
    refused_labels: Sequence[int] = ()


def inference_settings(config: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """The config's `inference`, with what it leaves out taken from the test data set.

    Args:
        config: plain data.
        meta: of the checkpoint; `dataset_meta` is the training set's.

    Returns:
        `size`: (H, W) of the test pictures, or None where no data set of the config fixes one;
        `condition`: `labels` where a label map becomes one channel a class, `maps` for edges,
        poses and the like; `label_map`: label values to replace when reading; `refused_labels`:
        classes that a label map may not hold, see `ConditionForm`.
    """
    dataset = _test_dataset(config)
    told = meta.get("dataset_meta") or {}
    classes = told.get("num_classes")
    labels = classes is not None and classes == config["model"]["condition_channels"]
    derived = {
        "size": config_size(config),
        "condition": "labels" if labels else "maps",
        "label_map": dataset.get("label_map"),
        "refused_labels": list(told.get("refused_labels") or ()),
    }
    given = config.get("inference") or {}
    return {**derived, **given}


def _test_dataset(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in LOADERS:
        if loader := config.get(name):
            return loader.get("dataset") or {}
    return {}
