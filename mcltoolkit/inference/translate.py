"""Translations: conditions painted in the style of exemplars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import torch

from mcltoolkit.errors import ConfigError
from mcltoolkit.inference.inputs import (
    Source,
    check_pair,
    choose_size,
    condition_fields,
    exemplar_tensor,
    read_condition,
    read_exemplar,
)
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.structures import Batch, Prediction, Translation

Sources = Sequence[Source]


@overload
def translate(
    condition: Source, exemplar: Source, model: TranslationModel, **options: Any
) -> TranslationResult: ...


@overload
def translate(
    condition: Source | Sources, exemplar: Source | Sources, model: TranslationModel, **options: Any
) -> TranslationResult | list[TranslationResult]: ...


@torch.no_grad()
def translate(
    condition: Source | Sources,
    exemplar: Source | Sources,
    model: TranslationModel,
    *,
    exemplar_condition: Source | Sources | None = None,
    size: tuple[int, int] | None = None,
    say: Callable[[str], object] | None = None,
) -> TranslationResult | list[TranslationResult]:
    """Paint `condition` in the style of `exemplar`.

    Lists make several translations; a single condition or exemplar beside a list is used for all.

    Args:
        condition: label file, `.npy` file of C x H x W numbers, an array of either kind, or a PIL
            image of labels; or a list of such.
        exemplar: picture file, PIL image, or array (H, W, 3) uint8; or a list of such.
        model: from `load_model`.
        exemplar_condition: as `condition`, one for each exemplar; needed where the correspondence
            mixes it in (`model.needs_exemplar_condition`).
        size: (height, width) to translate at; default see `choose_size`.
        say: called with one line that tells at which size the translation runs, and why.

    Raises:
        DataError: an input that the model cannot take.
        ConfigError: a size that the networks cannot take, or a missing exemplar condition.
    """
    lists = [v for v in (condition, exemplar) if isinstance(v, list | tuple)]
    if not lists:
        return _one(condition, exemplar, model, exemplar_condition, size, say)  # type: ignore[arg-type]
    count = max(len(v) for v in lists)
    columns = []
    for value in (condition, exemplar, exemplar_condition):
        column = list(value) if isinstance(value, list | tuple) else [value] * count
        if len(column) != count:
            raise ConfigError(f"lists of {len(column)} and {count} inputs; give as many of each")
        columns.append(column)
    return [_one(c, e, model, ec, size, say) for c, e, ec in zip(*columns, strict=True)]


def _one(
    condition: Source,
    exemplar: Source,
    model: TranslationModel,
    exemplar_condition: Source | None,
    size: tuple[int, int] | None,
    say: Callable[[str], object] | None,
) -> TranslationResult:
    channels, settings = model.channels, model.settings
    if exemplar_condition is None and model.needs_exemplar_condition:
        raise ConfigError(
            "this model compares the exemplar's condition too (mask_mix); give it with "
            "--exemplar-condition"
        )
    layout = read_condition(condition, channels, settings)
    picture = read_exemplar(exemplar)
    (height, width), why = choose_size(size, layout, picture, model.stride, settings["size"])
    fields = condition_fields(layout, (height, width))
    if exemplar_condition is not None:
        theirs = read_condition(exemplar_condition, channels, settings, "exemplar condition")
        check_pair(picture, theirs, (exemplar, exemplar_condition))
        fields |= condition_fields(theirs, (height, width), "exemplar_")
    batch = Batch(
        names=["condition"],
        exemplar=exemplar_tensor(picture, (height, width)),
        paired=torch.tensor([False]),
        exemplar_names=["exemplar"],
        **fields,  # type: ignore[arg-type]
    )
    batch.check(channels)
    if say is not None:
        say(f"translated at {height}x{width}: {why}")
    dense = batch.to(model.device).with_one_hot(channels)
    translation: Translation = model.translator(dense)
    assert dense.condition is not None
    prediction = Prediction(
        name="condition",
        fake=translation.fake[0].float(),
        warped=translation.alignment.warped[0].float(),
        exemplar=dense.exemplar[0],
        condition=dense.condition[0],
        match=translation.alignment.match,
        index=0,
        labels=None if dense.labels is None else dense.labels[0],
        exemplar_labels=None if dense.exemplar_labels is None else dense.exemplar_labels[0],
        exemplar_name="exemplar",
    )
    return TranslationResult(prediction, (height, width), why)
