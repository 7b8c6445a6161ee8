"""Exemplars, read and encoded.

An exemplar's side of a translation (encoder, descriptors, the correspondence's own part) does not
depend on the condition. It is computed for one exemplar at a time, so that it is the same numbers
whether it comes from the cache or not, and kept by content, size and the state of the weights
(`ExemplarCache`).
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.inference.inputs import (
    Source,
    check_pair,
    condition_fields,
    exemplar_tensor,
    read_condition,
    read_exemplar,
    source_name,
)
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.inference.sizes import Size
from mcltoolkit.structures import Batch, ExemplarSide

Pair: TypeAlias = "tuple[np.ndarray, np.ndarray | None]"


@dataclass(frozen=True, eq=False)
class Exemplar:
    """A photo whose style is asked for.

    Attributes:
        picture: file, PIL image or array (H, W, 3) uint8.
        condition: its own label map or maps, where the model compares them.
    """

    picture: Source
    condition: Source | None = None

    @staticmethod
    def of(given: Exemplar | Source, condition: Source | None = None) -> Exemplar:
        """An exemplar of a picture and its condition; one that is given, with its condition filled
        in where it has none.

        Raises:
            ConfigError: it has one, and another is given.
        """
        if not isinstance(given, Exemplar):
            return Exemplar(given, condition)
        if condition is None or condition is given.condition:
            return given
        if given.condition is None:
            return Exemplar(given.picture, condition)
        raise ConfigError(
            f"{given.name} is an Exemplar with a condition of its own, and exemplar_condition is "
            f"given for it too; leave one of them out"
        )

    @property
    def name(self) -> str:
        """Its file, or `exemplar`."""
        return source_name(self.picture) or "exemplar"


def read_pair(exemplar: Exemplar, model: TranslationModel) -> Pair:
    """The exemplar's picture (H, W, 3) uint8 and its condition, where it is given.

    Raises:
        ConfigError: the model compares the exemplar's condition, and there is none.
        DataError: a file or array that cannot be used, or labels of another picture.
    """
    if exemplar.condition is None and model.needs_exemplar_condition:
        kind = "label map" if model.condition_kind == "labels" else "condition maps (.npy)"
        raise ConfigError(
            f"this model compares the exemplar's condition too "
            f"({type(model.translator.correspondence).__name__} with mask_mix): give the {kind} of "
            f"{exemplar.name} with --exemplar-condition (of a region with --region-condition), in "
            f"Python as Exemplar(picture, condition)"
        )
    picture = read_exemplar(exemplar.picture)
    if exemplar.condition is None:
        return picture, None
    theirs = read_condition(exemplar.condition, model.form, "exemplar condition")
    check_pair(picture, theirs, (exemplar.picture, exemplar.condition))
    return picture, theirs


@torch.no_grad()
def encode(pair: Pair, model: TranslationModel, size: Size, padded: Size) -> ExemplarSide:
    """The exemplar's side for translations of one size, from the model's cache if it is there.

    Args:
        pair: from `read_pair`.
        size: to which both are resized, as at test.
        padded: to which both are padded.
    """

    picture, condition = pair

    def make() -> ExemplarSide:
        image = exemplar_tensor(picture, size, padded)
        if condition is None:
            return model.translator.encode_exemplar(image.to(model.device))
        fields = condition_fields(condition, size, padded, "exemplar condition")
        one = Batch(["exemplar"], image, torch.tensor([False]))
        batch = replace(one, **fields)
        moved = batch.to(model.device).with_one_hot(model.channels)
        return model.translator.encode_exemplar(moved.exemplar, moved.given_condition, moved.labels)

    weights = state_of(model.translator)
    return model.exemplars.get(_key(picture, condition, (size, padded, weights)), make)


def state_of(module: nn.Module) -> tuple[object, ...]:
    """What tells that weights were changed in place, moved or cast: where each lies, its type, and
    torch's count of the changes that it knows of (those through `.data` it does not)."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return tuple(
        (t.device, t.dtype, t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors
    )


def _key(picture: np.ndarray, condition: np.ndarray | None, state: object) -> str:
    digest = hashlib.sha256(repr(state).encode())
    for array in (picture, condition):
        if array is not None:
            digest.update(repr((array.shape, str(array.dtype))).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
