"""Whose terms a model's weights come under: notes by the data set and the files they come from.

Summaries of what the data sets' own pages say, to be checked there; no legal advice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcltoolkit.data.picture_size import LOADERS

_FACES = (
    "CelebA-HQ and CelebAMask-HQ: non-commercial research and education only; the photos belong to "
    "their owners and show identifiable people"
)
DATA_TERMS: Mapping[str, str] = {
    "ADE20K": (
        "ADE20K: images for non-commercial research and education only, and not owned by its "
        "makers; annotations and software under BSD-3-Clause"
    ),
    "CelebAHQEdges": _FACES,
    "CelebAHQMasks": _FACES,
    "DeepFashion": (
        "DeepFashion: non-commercial research only, after an agreement with its makers; shows "
        "identifiable people"
    ),
    "SyntheticScenes": "synthetic scenes, made by this toolkit's code: no terms of their own",
}
CODE = "the code that runs and exports the networks is Apache-2.0"


def data_set(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the data set that the weights were trained on, or else of one tested on."""
    for name in reversed(LOADERS):
        found = (config.get(name) or {}).get("dataset")
        if found:
            return dict(found)
    return {}


def terms(config: Mapping[str, Any], task: str | None, licence: str | None) -> list[str]:
    """Notes for the model card, most important first.

    Args:
        config: that the checkpoint carries.
        task: of a checkpoint that was converted from released files, else None.
        licence: of the weights, as the exporting person states it.
    """
    kind = str(data_set(config).get("type", ""))
    notes = [
        f"weights: {licence}, as stated at the export"
        if licence
        else "weights: no licence was stated at the export; ask who trained them before you pass "
        "them on"
    ]
    if task is not None:
        notes.append(
            f"the weights were converted from the files that CoCosNet's authors released "
            f"({task}); their terms apply"
        )
    else:
        unknown = f"training data ({kind or 'unknown'}): its terms are not known to this toolkit"
        notes.append(f"training data: {DATA_TERMS[kind]}" if kind in DATA_TERMS else unknown)
    return [*notes, CODE]
